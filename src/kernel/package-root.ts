import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

// This file is two folders below the package's root both as src/kernel/*.ts and as dist/kernel/*.js.
export const packageRoot: string = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

let cachedVersion: string | undefined;

export function packageVersion(): string {
  if (cachedVersion === undefined) {
    const text = readFileSync(path.join(packageRoot, 'package.json'), 'utf8');
    // package.json is our own and shipped beside the code: its shape is known
    cachedVersion = (JSON.parse(text) as { version: string }).version;
  }
  return cachedVersion;
}

/**
 * The path of a module beside `from`, in whichever form is running: `.ts` from a clone under test,
 * `.js` when built. For worker threads and child processes, which need a path instead of an import.
 */
export function siblingModule(name: string, from: string): string {
  const self = fileURLToPath(from);
  return path.join(path.dirname(self), `${name}${path.extname(self)}`);
}
