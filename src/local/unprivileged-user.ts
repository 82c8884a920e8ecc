import { execFile } from 'node:child_process';
import { lstat, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { TrollfixError } from '../kernel/errors.ts';

/** Whom PostgreSQL runs as: it refuses to run as root. */
export interface UnprivilegedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** In this order: `postgres` exists where a distribution's package ever was, `nobody` everywhere. */
const candidates = ['postgres', 'nobody'];

/** How long `id` may take: it may ask a directory service. */
const idMs = 5000;

/**
 * The user that PostgreSQL must be started as, or undefined when this process is not root and starts it as itself.
 * It has to be one the system knows: initdb looks its name up.
 * @throws TF-STK-002 when root finds none
 */
export async function unprivilegedUser(): Promise<UnprivilegedUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of candidates) {
    const [uid, gid] = await Promise.all([idOf('-u', name), idOf('-g', name)]);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid };
  }
  throw new TrollfixError(
    'TF-STK-002',
    'PostgreSQL cannot run as root and there is no other user to run it as',
    {
      why: `none of the users ${candidates.join(', ')} exists`,
      hint: 'run trollfix as a normal user, or create one: useradd --system postgres',
    },
  );
}

async function idOf(flag: '-u' | '-g', name: string): Promise<number | undefined> {
  try {
    const { stdout } = await promisify(execFile)('id', [flag, name], { timeout: idMs });
    return Number(stdout.trim());
  } catch {
    return undefined;
  }
}

/** Whether `user` may walk down to `dir`: every folder on the way, and itself, can be searched by it. */
export async function canReach(dir: string, user: UnprivilegedUser): Promise<boolean> {
  for (let at = path.resolve(dir); ; at = path.dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const searchBit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & searchBit) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/** Where root keeps what its unprivileged user must reach: only root can write there, so nobody can plant anything. */
const publicRoot = '/var/lib/trollfix';

/**
 * A folder under a place that every user can walk into, for a root whose own folders are closed (`/root` is 0700).
 * @throws TF-STK-002 when the place is not root's own
 */
export async function publicFolder(...segments: string[]): Promise<string> {
  await mkdir(publicRoot, { recursive: true, mode: 0o755 });
  const { uid, mode } = await lstat(publicRoot);
  if (uid !== 0 || (mode & 0o022) !== 0) {
    throw new TrollfixError('TF-STK-002', `${publicRoot} is not root's own`, {
      why: 'binaries and data of the embedded PostgreSQL would be kept where others can write',
      hint: `remove it: rm -r ${publicRoot}`,
    });
  }
  const folder = path.join(publicRoot, ...segments);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** Whether a path stands below the place of {@link publicFolder}. */
export function isPublicFolder(file: string): boolean {
  return file.startsWith(`${publicRoot}${path.sep}`);
}
