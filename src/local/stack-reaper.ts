import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { removePostgresData } from './postgres.ts';
import { reapCluster } from './postgres-cluster.ts';
import { endProcess, isAlive, type ProcessIdentity } from './process-identity.ts';
import { type ServiceName, stopLadders } from './service-names.ts';
import {
  claimStackState,
  readStackState,
  removeStackState,
  type ServiceState,
  type StackState,
} from './stack-state.ts';

/** A stop of the whole stack takes at most as long as its ladders; a drill also writes its report first. */
const supervisorLadder = [
  ['SIGTERM', 45_000],
  ['SIGKILL', 2000],
] as const;

/** Who uses what goes before what is used. */
const stopOrder: readonly ServiceName[] = ['guard', 'settler', 'gateway', 'hls', 'livekit', 'postgres'];

/** Stacks that this process holds up itself, by state folder: they are stopped by a call, not by a signal to ourselves. */
const ownStacks = new Map<string, { stop(): Promise<void> }>();

export function registerOwnStack(stateDir: string, stack: { stop(): Promise<void> }): () => void {
  ownStacks.set(stateDir, stack);
  return () => {
    if (ownStacks.get(stateDir) === stack) ownStacks.delete(stateDir);
  };
}

/** What {@link stopStack} found and ended. */
export interface StopResult {
  /** False: there was nothing to stop. */
  readonly stopped: boolean;
  /** True: the supervisor was gone already, and what it left behind was ended. */
  readonly orphaned: boolean;
  readonly services: readonly ServiceName[];
}

/**
 * Stops the stack of `stateDir`, whoever holds it and in whatever state: up, half-started, left behind by a supervisor
 * that was killed, or not there at all. Afterwards nothing of it runs. A process that merely has a pid of the
 * state file is never touched.
 * @throws TF-STK-003 when something does not end
 */
export async function stopStack(folder: string): Promise<StopResult> {
  const stateDir = path.resolve(folder);
  const state = readStackState(stateDir);
  if (state === undefined) return { stopped: false, orphaned: false, services: [] };
  const services = state.services.filter((s) => s.pid !== null).map((s) => s.name);
  const own = state.supervisor.pid === process.pid ? ownStacks.get(stateDir) : undefined;
  if (own !== undefined) {
    await own.stop();
    return { stopped: true, orphaned: false, services };
  }
  const supervised = await isAlive(state.supervisor);
  if (supervised && !(await endProcess(state.supervisor, supervisorLadder))) {
    throw new TrollfixError('TF-STK-003', `the supervisor (pid ${state.supervisor.pid}) does not end`);
  }
  // a supervisor that stopped in order took the file away; what it started meanwhile stands in the newest one
  const left = readStackState(stateDir);
  if (left !== undefined) await reapStack(stateDir, left);
  return { stopped: true, orphaned: !supervised, services };
}

/** Ends what a dead supervisor left running and removes its state. @throws TF-STK-003 */
async function reapStack(stateDir: string, state: StackState): Promise<void> {
  const ordered = stopOrder.flatMap((name) => state.services.filter((service) => service.name === name));
  for (const service of ordered) await reapService(service);
  try {
    await reapCluster(state.dataDir);
    if (!state.persistent) await removePostgresData(state.dataDir);
  } catch (error) {
    throw new TrollfixError('TF-STK-003', `PostgreSQL of ${state.dataDir} was not cleaned up`, {
      why: messageOf(error),
      cause: error,
    });
  }
  removeStackState(stateDir, state.supervisor);
}

async function reapService({ name, pid, startTime }: ServiceState): Promise<void> {
  if (pid === null || startTime === null) return;
  if (!(await endProcess({ pid, startTime }, stopLadders[name]))) {
    throw new TrollfixError('TF-STK-003', `${name} (pid ${pid}) of an earlier stack does not end`);
  }
}

/** A dead stack is cleaned up once; if the folder is taken again right after, somebody else is starting. */
const claimAttempts = 3;

/**
 * Takes `stateDir` for a new stack whose first state is given, after cleaning up what a dead one left there.
 * @throws TF-STK-006 when another process holds it
 */
export async function claimStateDir(stateDir: string, first: StackState): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    if (claimStackState(stateDir, first)) return;
    const there = readStackState(stateDir);
    if (there === undefined) continue;
    if (attempt === claimAttempts || (await isAlive(there.supervisor)))
      throw heldBy(there.supervisor, stateDir);
    await reapStack(stateDir, there);
  }
}

function heldBy(supervisor: ProcessIdentity, stateDir: string): TrollfixError {
  return new TrollfixError(
    'TF-STK-006',
    `the embedded stack of ${stateDir} is held by process ${supervisor.pid}`,
    {
      hint: 'see what it is: trollfix status; stop it: trollfix down',
      details: { pid: supervisor.pid },
    },
  );
}
