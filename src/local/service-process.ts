import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LogTail } from './log-tail.ts';
import {
  endProcess,
  identityOf,
  type LadderStep,
  type ProcessIdentity,
  sendSignal,
} from './process-identity.ts';

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last line of its log that says something. */
  readonly lastLine: string | undefined;
}

/** One process of a service, from spawn to exit. */
export interface ServiceProcess {
  readonly child: ChildProcess;
  readonly identity: ProcessIdentity;
  /** Settles when it has exited and everything it wrote is in the log; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Set as soon as it has exited. */
  readonly exit: ProcessExit | undefined;
  kill(signal: NodeJS.Signals): void;
  /** @returns false when it outlived the ladder */
  end(ladder: readonly LadderStep[]): Promise<boolean>;
}

export interface ServiceSpawn {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Opens an IPC channel: for children of our own code, which end when it closes. */
  readonly ipc?: boolean;
}

/**
 * Starts a process of its own session: a Ctrl-C at the terminal reaches the supervisor only, which then stops the
 * services in order; without that every one of them would be gone before the load on it is.
 * @throws when it cannot be executed, or is gone at once
 */
export async function spawnService(what: ServiceSpawn, log: LogTail): Promise<ServiceProcess> {
  const options: SpawnOptions = {
    cwd: '/',
    detached: true,
    stdio: what.ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
    ...(what.env ? { env: { ...what.env } } : {}),
    ...(what.user ? { uid: what.user.uid, gid: what.user.gid } : {}),
  };
  const child = spawn(what.command, [...what.args], options);
  log.follow(child.stdout);
  log.follow(child.stderr);
  let exit: ProcessExit | undefined;
  // 'close' comes after 'exit' once the pipes are drained: the last line is the last line then
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('close', (code, signal) => {
      exit = { code, signal, lastLine: log.lastLine };
      resolve(exit);
    });
  });
  await once(child, 'spawn');
  // a child that has been spawned has a pid
  const pid = child.pid as number;
  const identity = await identityOf(pid).catch(async () => {
    const gone = await exited;
    throw new Error(`exited at once (${describeExit(gone)})`);
  });
  return {
    child,
    identity,
    exited,
    get exit() {
      return exit;
    },
    kill: (signal) => {
      if (exit === undefined) sendSignal(pid, signal);
    },
    end: (ladder) => endProcess(identity, ladder),
  };
}

/** `exit code 1: FATAL: …` */
export function describeExit({ code, signal, lastLine }: ProcessExit): string {
  const how = signal === null ? `exit code ${code}` : `killed by ${signal}`;
  return lastLine === undefined ? how : `${how}: ${lastLine}`;
}
