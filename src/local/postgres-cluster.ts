import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { pollUntil } from '../kernel/deadline.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { postgresProcessesIn, sendSignal } from './process-identity.ts';
import { canReach, publicFolder, type UnprivilegedUser } from './unprivileged-user.ts';

/** The bootstrap superuser, named as hosted Supabase names its own. */
export const superuser = 'supabase_admin';

/** initdb takes half a second on an idle core; a minute is a machine in trouble. */
const initdbMs = 60_000;

/** What a program of PostgreSQL gets as its environment: messages in English for those who read logs, times in UTC. */
export const postgresEnv: Readonly<Record<string, string>> = { LC_ALL: 'C', TZ: 'UTC' };

/**
 * Where the data of the stack in `stateDir` is kept: in it, or in a public folder of root's when the user that
 * PostgreSQL runs as cannot walk into it.
 */
export async function postgresDataDir(stateDir: string, user: UnprivilegedUser | undefined): Promise<string> {
  await mkdir(stateDir, { recursive: true });
  const real = await realpath(stateDir);
  if (user === undefined || (await canReach(real, user))) return path.join(real, 'postgres');
  const id = createHash('sha256').update(real).digest('hex').slice(0, 16);
  return path.join(await publicFolder('data', id), 'postgres');
}

/**
 * Makes `dataDir` a cluster that can be started: creates it when there is none, ends what a dead supervisor left
 * running in it, and takes away a lock file that names a stranger.
 * @throws TF-STK-002
 */
export async function prepareCluster(
  dataDir: string,
  options: { binaries: PostgresBinaries; user: UnprivilegedUser | undefined; password: string },
): Promise<void> {
  await reapCluster(dataDir);
  if (existsSync(path.join(dataDir, 'PG_VERSION'))) {
    await checkCluster(dataDir, options);
    return;
  }
  await createCluster(dataDir, options);
}

async function checkCluster(
  dataDir: string,
  { binaries, user }: { binaries: PostgresBinaries; user: UnprivilegedUser | undefined },
): Promise<void> {
  const major = (await readFile(path.join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '?')).trim();
  const owner = (await stat(dataDir)).uid;
  const wanted = user?.uid ?? process.getuid?.() ?? owner;
  const trouble =
    owner !== wanted
      ? `it belongs to uid ${owner} and PostgreSQL runs as uid ${wanted}`
      : binaries.version.split('.')[0] !== major
        ? `it is of PostgreSQL ${major} and this is ${binaries.version}`
        : undefined;
  if (trouble === undefined) return;
  throw new TrollfixError('TF-STK-002', `the data directory ${dataDir} cannot be used`, {
    why: trouble,
    hint: `if its data may go: rm -r ${dataDir}`,
  });
}

async function createCluster(
  dataDir: string,
  {
    binaries,
    user,
    password,
  }: { binaries: PostgresBinaries; user: UnprivilegedUser | undefined; password: string },
): Promise<void> {
  const parent = path.dirname(dataDir);
  await mkdir(parent, { recursive: true });
  // initdb in a folder beside it and rename: a cluster is whole or not there, even when we are killed meanwhile
  const workshop = path.join(parent, '.postgres-init');
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { mode: 0o700 });
  const passwordFile = path.join(workshop, `password-${randomUUID()}`);
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) {
    await chown(workshop, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  try {
    const unfinished = path.join(workshop, 'data');
    await promisify(execFile)(binaries.initdb, initdbArgs(unfinished, passwordFile), {
      cwd: '/',
      env: { ...postgresEnv },
      timeout: initdbMs,
      killSignal: 'SIGKILL',
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
    });
    await rm(dataDir, { recursive: true, force: true });
    await rename(unfinished, dataDir);
  } catch (error) {
    throw new TrollfixError('TF-STK-002', 'initdb failed', { why: initdbMessage(error), cause: error });
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

function initdbArgs(dataDir: string, passwordFile: string): string[] {
  return [
    `--pgdata=${dataDir}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // the built-in provider sorts the same on every machine, whatever locales its system has
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // a cluster that a power cut spoils in its first seconds is made again; the server itself runs with fsync on
    '--no-sync',
    '--no-instructions',
  ];
}

function initdbMessage(error: unknown): string {
  // execFile's errors carry what the program wrote
  const stderr = (error as { stderr?: string }).stderr?.trim();
  return stderr || messageOf(error);
}

/** After these, in turn, what still lives in the folder gets the next signal; the last is certain. */
const reapSteps = [
  ['SIGINT', 5000],
  ['SIGQUIT', 3000],
  ['SIGKILL', 3000],
] as const;

/**
 * Ends every PostgreSQL process that works in `dataDir` and removes the lock file they leave. A `kill -9` of the
 * postmaster leaves backends behind for a moment, and a start in that moment fails ("lock file already exists",
 * "pre-existing shared memory block"); a lock file of before a reboot may name the pid of a stranger, which is let be.
 * @throws TF-STK-002 when they cannot be ended
 */
export async function reapCluster(dataDir: string): Promise<void> {
  const lockFile = path.join(dataDir, 'postmaster.pid');
  for (const [signal, ms] of reapSteps) {
    const left = await postgresProcesses(dataDir, lockFile);
    if (left.length === 0) break;
    const postmaster = await lockedPid(lockFile);
    // the postmaster passes the first two on to its backends; without one they are told themselves
    const told =
      postmaster !== undefined && left.includes(postmaster) && signal !== 'SIGKILL' ? [postmaster] : left;
    for (const pid of told) sendSignal(pid, signal);
    await waitUntilGone(dataDir, lockFile, ms);
  }
  const left = await postgresProcesses(dataDir, lockFile);
  if (left.length > 0) {
    throw new TrollfixError('TF-STK-002', `PostgreSQL processes of ${dataDir} do not end`, {
      why: `pids ${left.join(', ')}`,
    });
  }
  await rm(lockFile, { force: true });
}

async function waitUntilGone(dataDir: string, lockFile: string, ms: number): Promise<void> {
  const gone = async () => ((await postgresProcesses(dataDir, lockFile)).length === 0 ? true : undefined);
  // not being gone in time is for the next step to deal with
  await pollUntil(gone, { ms, everyMs: 20, what: 'PostgreSQL ends' }).catch(() => {});
}

async function postgresProcesses(dataDir: string, lockFile: string): Promise<number[]> {
  if (existsSync('/proc/self/cwd')) return postgresProcessesIn(dataDir);
  const pid = await lockedPid(lockFile);
  return pid !== undefined && (await commandOf(pid)).includes(dataDir) ? [pid] : [];
}

async function lockedPid(lockFile: string): Promise<number | undefined> {
  const text = await readFile(lockFile, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return pid > 1 ? pid : undefined;
}

async function commandOf(pid: number): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)], {
      timeout: 2000,
    });
    return stdout;
  } catch {
    return '';
  }
}
