import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../../../../src/kernel/package-root.ts';

/** A change of the source that takes one promise away. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** What the guard's folder needs to be loaded. */
const rooms = ['kernel', 'ops', 'target', 'config', 'app'];

// within the project, so that packages are found from there
const mutants = path.join(packageRoot, 'test-artifacts', 'mutants');

/** To be called when no mutant is needed any more. */
export function removeMutants(): Promise<void> {
  return rm(mutants, { recursive: true, force: true });
}

/**
 * A copy of the program with one line of the guard changed, loaded beside the real one.
 * @throws when the text to be changed is not there exactly once: a mutant that is none would prove nothing
 */
export async function loadMutant(name: string, { file, from, to }: Mutation) {
  const root = path.join(mutants, name);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  for (const room of rooms)
    await cp(path.join(packageRoot, 'src', room), path.join(root, room), { recursive: true });
  const mutated = path.join(root, 'ops', 'guard', file);
  const text = await readFile(mutated, 'utf8');
  if (text.split(from).length !== 2) throw new Error(`"${from}" is not once in ${file}`);
  await writeFile(
    mutated,
    text.replace(from, () => to),
  );
  const load = (module: string) => import(/* @vite-ignore */ path.join(root, 'ops', 'guard', module));
  const { startGate } = (await load('gate.ts')) as typeof import('../../../../src/ops/guard/gate.ts');
  const { createSeatTable } = (await load(
    'seat-table.ts',
  )) as typeof import('../../../../src/ops/guard/seat-table.ts');
  return { startGate, createSeatTable };
}
