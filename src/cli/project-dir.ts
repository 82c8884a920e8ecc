import { existsSync } from 'node:fs';
import path from 'node:path';

export const configFileName = 'trollfix.yaml';

/**
 * The folder of the nearest trollfix.yaml from `cwd` upwards, within the repository; `cwd` when there is none.
 * The search ends at the folder that holds `.git`: a file above it belongs to something else.
 */
export function findProjectDir(cwd: string): string {
  let folder = path.resolve(cwd);
  while (true) {
    if (existsSync(path.join(folder, configFileName))) return folder;
    const parent = path.dirname(folder);
    if (parent === folder || existsSync(path.join(folder, '.git'))) return path.resolve(cwd);
    folder = parent;
  }
}
