import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import process from 'node:process';
import { promisify } from 'node:util';
import { sleep } from '../kernel/clock.ts';

/**
 * A process that cannot be confused with a later one of the same number: pids are reused, after a restart of the
 * machine or container within seconds, and what is killed by a stale pid would be a stranger.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal only for the same process. Linux: boot id and start tick of /proc; elsewhere what `ps` says. */
  readonly startTime: string;
}

/** How long `ps` may take where there is no /proc. */
const psMs = 2000;

/** When the process started, or undefined when it is gone (a zombie that nobody has reaped counts as gone). */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return linuxStartTime(pid);
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      timeout: psMs,
    });
    const [state = '', ...start] = stdout.trim().split(/\s+/);
    return start.length === 0 || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}

/** @throws when the process is gone */
export async function identityOf(pid: number): Promise<ProcessIdentity> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) throw new Error(`process ${pid} is gone`);
  return { pid, startTime };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await startTimeOf(identity.pid)) === identity.startTime;
}

let bootId: string | undefined;

function linuxStartTime(pid: number): string | undefined {
  const stat = readProcFile(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // "pid (comm) state ppid …": comm may hold spaces and brackets, so count from the last one (proc_pid_stat(5))
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTick] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X' || startTick === undefined) return undefined;
  bootId ??= readProcFile('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown-boot';
  return `${bootId}:${startTick}`;
}

function readProcFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Pids of the PostgreSQL processes that work in `dataDir`: postmaster and backends all `chdir` into it, and its
 * backends live on for a moment after a killed postmaster, holding the shared memory that a restart needs.
 * Empty where there is no /proc.
 */
export function postgresProcessesIn(dataDir: string): number[] {
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return [];
  }
  return entries
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter(
      (pid) => linkOf(`/proc/${pid}/cwd`) === dataDir && linuxStartTime(pid) !== undefined && isPostgres(pid),
    );
}

function isPostgres(pid: number): boolean {
  return readProcFile(`/proc/${pid}/comm`)?.trim() === 'postgres';
}

function linkOf(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** A signal and how long the process has to be gone after it. */
export type LadderStep = readonly [signal: NodeJS.Signals, ms: number];

/** How often a process that was told to stop is looked at: a clean LiveKit stop takes 4 ms, PostgreSQL's 100 ms. */
const watchEveryMs = 15;

/**
 * Ends a process by growing insistence and waits until it is gone. Never signals a process of another identity.
 * @returns false when it outlived the last step
 */
export async function endProcess(identity: ProcessIdentity, ladder: readonly LadderStep[]): Promise<boolean> {
  for (const [signal, ms] of ladder) {
    if (!(await isAlive(identity))) return true;
    sendSignal(identity.pid, signal);
    const endsAt = performance.now() + ms;
    while (performance.now() < endsAt) {
      await sleep(watchEveryMs);
      if (!(await isAlive(identity))) return true;
    }
  }
  return !(await isAlive(identity));
}

/** Signals a pid that was just found to be ours; one that ended in between is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Node's errors carry `code`; ESRCH: it went by itself
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
