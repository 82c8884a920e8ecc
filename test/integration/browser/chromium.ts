import { existsSync } from 'node:fs';
import process from 'node:process';
import { type Browser, chromium } from 'playwright-core';

/** Debian's package first; playwright's own download is not used. */
const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const found = places.find((place) => existsSync(place));

/** Why tests in a browser cannot run here; in CI they must, and the launch then fails. */
export const noChromium: string | undefined =
  found === undefined && !process.env.CI ? 'no Chromium here: apt-get install chromium' : undefined;

/** A headless Chromium. @throws when there is none */
export function launchChromium(): Promise<Browser> {
  if (found === undefined) throw new Error('the tests need a Chromium: apt-get install chromium');
  return chromium.launch({
    executablePath: found,
    args: [
      // root in a container has no user namespaces to sandbox with
      '--no-sandbox',
      // LiveKit listens on 127.0.0.1 only, which browsers otherwise leave out of the addresses they offer
      '--allow-loopback-in-peer-connection',
    ],
  });
}
