import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { packageRoot } from '../../../src/kernel/package-root.ts';

/** One planted fault: in `src/app/<file>`, the one place where `find` stands is replaced. */
export interface Fault {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/**
 * A module of src/app with faults planted in it and in what it imports.
 * @throws when the text to replace is not there exactly once: a fault that was not planted would be caught by nobody
 */
export async function importMutant<T>(entry: string, faults: readonly Fault[]): Promise<T> {
  const appDir = path.join(packageRoot, 'src', 'app');
  const planted = new Set<Fault>();
  const built = await build({
    entryPoints: [path.join(appDir, entry)],
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    external: ['@supabase/supabase-js', 'react'],
    write: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'faults',
        setup({ onLoad }) {
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
        },
      },
    ],
  });
  if (planted.size !== faults.length) throw new Error(`${entry} does not import what the fault is to be in`);
  const dir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-mutant-'));
  try {
    const file = path.join(dir, 'mutant.mjs');
    const [output] = built.outputFiles;
    if (output === undefined) throw new Error('esbuild gave no output');
    await writeFile(file, output.text);
    // the caller knows the module that it asked for
    return (await import(pathToFileURL(file).href)) as T;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
