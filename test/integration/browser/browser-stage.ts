import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type pg from 'pg';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { packageRoot } from '../../../src/kernel/package-root.ts';
import { ReleaseStack } from '../../../src/kernel/release-stack.ts';
import { type Stack, startStack } from '../../../src/local/stack.ts';
import { stackTarget } from '../../../src/local/stack-state.ts';
import { demoStreamId, putDemoStream } from '../../../src/provision/demo-stream.ts';
import { provisionUrl } from '../../../src/provision/provision-url.ts';
import { type LiveKitAdmin, liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { type Fault, faultPlugin } from '../app/mutant.ts';
import { testStackOptions } from '../harness/stack.ts';
import { makeTempStateDir } from '../harness/temp-state.ts';
import { launchChromium } from './chromium.ts';

/** Kept for people to look at. */
const screenshotDir = path.join(packageRoot, 'test-artifacts', 'browser');

export interface Visitor {
  readonly page: Page;
  /** What went wrong in the page: errors, refused by its Content-Security-Policy, asked of another machine. */
  readonly complaints: string[];
}

export interface SignedIn extends Visitor {
  readonly userId: string;
}

/** The whole embedded stack with the demo page built from the sources, and a Chromium to look at it with. */
export class BrowserStage implements AsyncDisposable {
  readonly stack: Stack;
  readonly database: pg.Pool;
  readonly livekit: LiveKitAdmin | undefined;
  readonly streamId = demoStreamId;
  readonly #browser: Browser;
  readonly #demoDir: string;
  readonly #releases: ReleaseStack;
  readonly #contexts = new Set<BrowserContext>();
  readonly #harnesses = new Map<string, Promise<string>>();

  private constructor(stack: Stack, browser: Browser, demoDir: string, releases: ReleaseStack) {
    const { livekit } = stackTarget(stack.state);
    this.livekit = livekit && liveKitAdmin(livekit);
    this.stack = stack;
    this.database = openDatabase(stack.state.env.DATABASE_URL, { max: 3 });
    releases.add('pool', () => this.database.end());
    this.#browser = browser;
    this.#demoDir = demoDir;
    this.#releases = releases;
  }

  /** @param parts.livekit false: without LiveKit and HLS, for what only concerns the database */
  static async start(parts: { readonly livekit: boolean }): Promise<BrowserStage> {
    const releases = new ReleaseStack(() => {});
    try {
      const temp = await makeTempStateDir();
      releases.add('state', () => temp.remove());
      const demoDir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-demo-'));
      releases.add('bundle', () => rm(demoDir, { recursive: true, force: true }));
      await chmod(demoDir, 0o755);
      // as the build does, but elsewhere: dist/ may be of another day
      const script = path.join(packageRoot, 'scripts', 'bundle-demo.ts');
      await promisify(execFile)(process.execPath, [script, demoDir]);
      const stack = await startStack({
        ...testStackOptions(temp.dir, { livekit: parts.livekit, hls: parts.livekit }),
        demo: { dir: demoDir, streamId: demoStreamId },
        provision: async (env) => {
          await provisionUrl(env.DATABASE_URL, { log: silentLogger, progress: silentProgress });
          await putDemoStream(env.DATABASE_URL, env.HLS_URL);
        },
      });
      releases.add('stack', () => stack.stop());
      const browser = await launchChromium();
      releases.add('browser', () => browser.close());
      return new BrowserStage(stack, browser, demoDir, releases);
    } catch (error) {
      await releases.release();
      throw error;
    }
  }

  get demoUrl(): string {
    return this.stack.state.env.DEMO_URL;
  }

  /** Somebody with a browser of their own, who has not opened anything. */
  async visitor(options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    this.#contexts.add(context);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol.startsWith('http') && hostname !== '127.0.0.1')
        complaints.push(`asked for ${request.url()}`);
    });
    return { page, complaints };
  }

  /** Everybody closes their browser: a page that goes on playing costs the next test its time. */
  async leave(): Promise<void> {
    await Promise.all([...this.#contexts].map((context) => context.close()));
    this.#contexts.clear();
  }

  /** Signs up through the demo page's form. */
  async signUp(name: string, options: BrowserContextOptions = {}): Promise<SignedIn> {
    const visitor = await this.visitor(options);
    const { page } = visitor;
    const email = `${name.toLowerCase()}-${randomUUID()}@example.test`;
    await page.goto(this.demoUrl);
    await page.getByLabel('Name shown in chat').fill(name);
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel(/^Password/).fill('a long enough password');
    await page.getByRole('button', { name: 'Sign up' }).click();
    await page.getByText('changes arrive as they happen').waitFor();
    const { rows } = await this.database.query('select id from auth.users where email = $1', [email]);
    return { ...visitor, userId: String(rows[0]?.id) };
  }

  /** A page of `pages/`, with faults planted in what it uses. @returns its address */
  harness(name: string, faults: readonly Fault[] = []): Promise<string> {
    const key = JSON.stringify([name, faults]);
    const built = this.#harnesses.get(key) ?? this.#buildHarness(name, faults);
    this.#harnesses.set(key, built);
    return built;
  }

  async #buildHarness(name: string, faults: readonly Fault[]): Promise<string> {
    const title = `${name}-${randomUUID().slice(0, 8)}`;
    const file = path.join(packageRoot, 'test', 'integration', 'browser', 'pages', `${name}.tsx`);
    await build({
      entryPoints: { [title]: file },
      // beside the demo, so that the gateway serves it under the same rules
      outdir: this.#demoDir,
      bundle: true,
      format: 'esm',
      jsx: 'automatic',
      tsconfig: path.join(packageRoot, 'src', 'app', 'tsconfig.json'),
      // StrictMode mounts twice in React's development build only
      define: { 'process.env.NODE_ENV': '"development"' },
      logLevel: 'silent',
      plugins: [faultPlugin(faults)],
    });
    const script = `<script type="module" src="${title}.js"></script>`;
    const html = `<!doctype html><html lang="en"><title>${title}</title><div id="root"></div>${script}</html>`;
    await writeFile(path.join(this.#demoDir, `${title}.html`), html);
    return `${this.demoUrl}${title}.html`;
  }

  grant(userId: string, expiresInMs: number | null = null): Promise<unknown> {
    return this.database.query(
      `select grant_seat($1, $2, p_expires_at =>
        case when $3::int is null then null else clock_timestamp() + make_interval(secs => $3 / 1000.0) end)`,
      [this.streamId, userId, expiresInMs],
    );
  }

  revoke(userId: string, reason: string): Promise<unknown> {
    return this.database.query('select revoke_seat($1, $2, $3)', [this.streamId, userId, reason]);
  }

  /** Who is in the room, as LiveKit says. */
  async inRoom(userId: string): Promise<string | undefined> {
    if (this.livekit === undefined) throw new Error('this stage has no LiveKit');
    const occupants = await this.livekit.occupants(this.streamId);
    return occupants.find(({ identity }) => identity === userId)?.state;
  }

  async screenshot(page: Page, name: string): Promise<void> {
    await mkdir(screenshotDir, { recursive: true });
    await page.screenshot({ path: path.join(screenshotDir, `${name}.png`), fullPage: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#releases.release();
  }
}
