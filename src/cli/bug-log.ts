import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { packageVersion } from '../kernel/package-root.ts';

/**
 * Writes the whole story of a bug into `<stateDir>/logs/` (or the temporary folder, where that cannot be written)
 * and gives the path. Synchronous: the process may be about to end.
 */
export function writeBugLog(
  error: unknown,
  about: { stateDir: string; argv: readonly string[]; nowIso: string; redact: (text: string) => string },
): string | undefined {
  const { stateDir, argv, nowIso, redact } = about;
  const story = [
    `trollfix ${packageVersion()}  node ${process.versions.node}  ${process.platform} ${process.arch}`,
    `at ${nowIso}`,
    `argv ${JSON.stringify(argv)}`,
    '',
    inspect(error, { depth: 6 }),
    '',
  ].join('\n');
  const name = `bug-${nowIso.replaceAll(/[:.]/g, '-')}-${process.pid}.log`;
  for (const folder of [path.join(stateDir, 'logs'), tmpdir()]) {
    try {
      mkdirSync(folder, { recursive: true });
      const file = path.join(folder, name);
      writeFileSync(file, redact(story), { mode: 0o600 });
      return file;
    } catch {
      // a folder that cannot be written: the next one is tried, and without any the failure is told without a log
    }
  }
  return undefined;
}
