import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import type { Target } from '../config/target.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { Secret } from '../kernel/redact.ts';
import type { QuotaProfile } from './gateway/context.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import type { Service, ServiceHealth } from './service.ts';
import type { ServiceName } from './service-names.ts';

/** What a client of the stack needs, under the names that people know. Made for this stack, so it may be printed. */
export interface StackEnv {
  readonly SUPABASE_URL: string;
  readonly SUPABASE_ANON_KEY: string;
  readonly SUPABASE_SERVICE_ROLE_KEY: string;
  readonly SUPABASE_JWT_SECRET: string;
  readonly DATABASE_URL: string;
  /** LiveKit's own address, for its admin API; empty when LiveKit is missing. */
  readonly LIVEKIT_URL: string;
  /** The guard's gate in front of it, where clients go; empty when there is no guard. */
  readonly LIVEKIT_GATE_URL: string;
  readonly LIVEKIT_API_KEY: string;
  readonly LIVEKIT_API_SECRET: string;
  /** The live master playlist; empty when there is no HLS origin. */
  readonly HLS_URL: string;
  readonly TOKEN_ENDPOINT: string;
  /** The demo page; empty when there is none. */
  readonly DEMO_URL: string;
}

export interface ServiceState {
  readonly name: ServiceName;
  readonly url: string;
  /** null: it listens on nothing. */
  readonly port: number | null;
  readonly pid: number | null;
  /** Tells the process from a later one of the same pid. */
  readonly startTime: string | null;
  readonly health: ServiceHealth;
  readonly version: string | null;
  /** Path of its log. */
  readonly log: string;
  /** Why it is dead or missing, with the last line of its log. */
  readonly reason?: string;
}

/** `.trollfix/stack.json`: what runs, for every other process. Mode 0600: it holds the stack's keys. */
export interface StackState {
  readonly schema: 'trollfix.stack/v1';
  /** Who holds the stack up; without it there is no stack. */
  readonly supervisor: ProcessIdentity;
  readonly startedAt: string;
  readonly phase: 'starting' | 'up' | 'stopping';
  /** Whether its data stay when it is stopped. */
  readonly persistent: boolean;
  readonly dataDir: string;
  /** The hosted plan whose Realtime quota the gateway enforces; null: none. */
  readonly quota: { readonly name: string; readonly messagesPerS: number } | null;
  readonly services: readonly ServiceState[];
  /** Complete once the phase is `up`; empty strings before. */
  readonly env: StackEnv;
}

export const emptyEnv: StackEnv = {
  SUPABASE_URL: '',
  SUPABASE_ANON_KEY: '',
  SUPABASE_SERVICE_ROLE_KEY: '',
  SUPABASE_JWT_SECRET: '',
  DATABASE_URL: '',
  LIVEKIT_URL: '',
  LIVEKIT_GATE_URL: '',
  LIVEKIT_API_KEY: '',
  LIVEKIT_API_SECRET: '',
  HLS_URL: '',
  TOKEN_ENDPOINT: '',
  DEMO_URL: '',
};

/** A service as the state file has it. */
export function serviceStateOf(service: Service): ServiceState {
  return {
    name: service.name,
    url: service.url,
    port: service.port,
    pid: service.pid,
    startTime: service.identity?.startTime ?? null,
    health: service.health,
    version: service.version,
    log: service.logFile,
    ...(service.reason === undefined ? {} : { reason: service.reason }),
  };
}

/** A quota as the state file has it. */
export function quotaOf(quota: QuotaProfile | null): StackState['quota'] {
  return quota === null ? null : { name: quota.name, messagesPerS: quota.messagesPerS };
}

const stateFileOf = (stateDir: string) => path.join(stateDir, 'stack.json');

/**
 * The state of the stack in `stateDir`, or undefined when there is none. Nothing in it is checked to be still true.
 * @throws TF-STK-007 when there is a file and it cannot be read, or is none of ours
 */
export function readStackState(stateDir: string): StackState | undefined {
  let text: string;
  try {
    text = readFileSync(stateFileOf(stateDir), 'utf8');
  } catch (error) {
    // Node's errors carry `code`
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    // to take it for none would let a start try for ever to claim a folder that is taken
    throw new TrollfixError('TF-STK-007', `${stateFileOf(stateDir)} cannot be read: ${messageOf(error)}`, {
      hint: 'stop the stack as the user who started it: trollfix down',
      cause: error,
    });
  }
  try {
    const state: unknown = JSON.parse(text);
    // our own file, written whole or not at all: the schema says the rest
    if (isRecord(state) && state.schema === 'trollfix.stack/v1') return state as unknown as StackState;
  } catch {
    // not JSON: the same as a file of another schema
  }
  throw new TrollfixError('TF-STK-007', `${stateFileOf(stateDir)} is not a state file of this version`, {
    hint: `stop what it names by the version that wrote it, then: rm ${stateFileOf(stateDir)}`,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Writes the state whole: a reader sees the old or the new one. Synchronous, so that a pid is on disk before we go on. */
export function writeStackState(stateDir: string, state: StackState): void {
  renameSync(writeTemp(stateDir, state), stateFileOf(stateDir));
}

/** Takes the folder for a new stack. @returns false when there is a state file already */
export function claimStackState(stateDir: string, state: StackState): boolean {
  const temp = writeTemp(stateDir, state);
  try {
    // a hard link, unlike a rename, fails when the name is taken: two starts at once cannot both win
    linkSync(temp, stateFileOf(stateDir));
    return true;
  } catch (error) {
    // Node's errors carry `code`
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temp, { force: true });
  }
}

/** Removes the state file if it still is that of `supervisor`. */
export function removeStackState(stateDir: string, supervisor: ProcessIdentity): void {
  const current = readStackState(stateDir)?.supervisor;
  if (current?.pid !== supervisor.pid || current.startTime !== supervisor.startTime) return;
  rmSync(stateFileOf(stateDir), { force: true });
}

function writeTemp(stateDir: string, state: StackState): string {
  mkdirSync(stateDir, { recursive: true });
  const temp = path.join(stateDir, `.stack.json.${process.pid}`);
  writeFileSync(temp, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  return temp;
}

/** The stack in `stateDir` if one is up. @throws TF-STK-001 */
export async function requireStack(stateDir: string): Promise<StackState> {
  const state = readStackState(stateDir);
  if (state === undefined) throw new TrollfixError('TF-STK-001', 'the embedded stack is not up');
  if (!(await isAlive(state.supervisor))) {
    throw new TrollfixError('TF-STK-001', 'the embedded stack is not up any more', {
      why: `its supervisor (pid ${state.supervisor.pid}) is gone`,
      hint: 'clean up and start again: trollfix down && trollfix up --detach',
    });
  }
  if (state.phase !== 'up') {
    throw new TrollfixError('TF-STK-001', `the embedded stack is ${state.phase}`, {
      hint: 'wait for it: trollfix status',
    });
  }
  return state;
}

/** The running stack as a target of probes. */
export function stackTarget(state: StackState): Target {
  const { env } = state;
  return {
    name: 'embedded',
    kind: 'embedded',
    supabaseUrl: env.SUPABASE_URL,
    anonKey: new Secret(env.SUPABASE_ANON_KEY),
    serviceRoleKey: new Secret(env.SUPABASE_SERVICE_ROLE_KEY),
    jwtSecret: new Secret(env.SUPABASE_JWT_SECRET),
    databaseUrl: new Secret(env.DATABASE_URL),
    livekit:
      env.LIVEKIT_URL === ''
        ? undefined
        : {
            url: env.LIVEKIT_URL,
            apiKey: env.LIVEKIT_API_KEY,
            apiSecret: new Secret(env.LIVEKIT_API_SECRET),
            // a state file of an earlier version has no such line
            gateUrl: env.LIVEKIT_GATE_URL || undefined,
          },
    hls: env.HLS_URL === '' ? undefined : { url: env.HLS_URL },
    tokenEndpoint: env.TOKEN_ENDPOINT,
    limits: undefined,
  };
}
