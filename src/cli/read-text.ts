import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, TrollfixError } from '../kernel/errors.ts';

/**
 * A file that a flag names, as text.
 * @throws TF-CFG-001 when it cannot be read
 */
export async function readText(cwd: string, file: string, flag: string): Promise<string> {
  const full = path.resolve(cwd, file);
  try {
    return await readFile(full, 'utf8');
  } catch (error) {
    throw new TrollfixError('TF-CFG-001', `${full} cannot be read`, {
      why: messageOf(error),
      hint: `check the path given with ${flag}`,
      cause: error,
    });
  }
}
