import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { packageRoot } from '../../../src/kernel/package-root.ts';

/** One planted fault: in `src/app/<file>`, the one place where `find` stands is replaced. */
export interface Fault {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const appDir = path.join(packageRoot, 'src', 'app');

/**
 * Plants faults in what esbuild bundles.
 * @throws (of `build`) when the text to replace is not there exactly once, or a file is not part of the bundle: a
 *   fault that was not planted would be caught by nobody
 */
export function faultPlugin(faults: readonly Fault[]): Plugin {
  return {
    name: 'faults',
    setup({ onLoad, onEnd }) {
      const planted = new Set<Fault>();
      onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
        let contents = await readFile(file, 'utf8');
        for (const fault of faults.filter((one) => path.join(appDir, one.file) === file)) {
          if (contents.split(fault.find).length !== 2) {
            throw new Error(`${fault.file}: not there exactly once: ${fault.find}`);
          }
          contents = contents.replace(fault.find, () => fault.replace);
          planted.add(fault);
        }
        return { contents, loader: 'ts' };
      });
      onEnd(() => {
        const missing = faults.find((fault) => !planted.has(fault));
        if (missing) throw new Error(`${missing.file} is not part of the bundle`);
      });
    },
  };
}

/** A module of src/app with faults planted in it and in what it imports. @throws as {@link faultPlugin} says */
export async function importMutant<T>(entry: string, faults: readonly Fault[]): Promise<T> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-mutant-'));
  try {
    const outfile = path.join(dir, 'mutant.mjs');
    await build({
      entryPoints: [path.join(appDir, entry)],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      external: ['@supabase/supabase-js', 'react'],
      logLevel: 'silent',
      plugins: [faultPlugin(faults)],
    });
    // the caller knows the module that it asked for
    return (await import(pathToFileURL(outfile).href)) as T;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
