import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * The commit of the clone whose top is `root`; null where there is none. A package installed below somebody's
 * repository is not of that repository: git would answer with theirs.
 */
export async function commitOfClone(root: string): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', ['-C', root, 'rev-parse', 'HEAD', '--show-prefix'], {
      timeout: 2000,
    });
    // the path from the top of the repository down to `root`, empty at the top
    const [commit = '', prefix] = stdout.split('\n');
    return prefix === '' ? commit : null;
  } catch {
    return null;
  }
}
