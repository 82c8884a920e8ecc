import { fork } from 'node:child_process';
import { once } from 'node:events';
import type pg from 'pg';
import { systemClock } from '../../src/kernel/clock.ts';
import { ReleaseStack } from '../../src/kernel/release-stack.ts';
import { type LiveKitAdmin, liveKitAdmin } from '../../src/target/livekit/admin.ts';
import { signLiveKitToken } from '../../src/target/livekit/mint.ts';
import {
  enterRoom,
  type SignalOutcome,
  type SignalParticipant,
} from '../../src/target/livekit/signal-participant.ts';
import { Provisioned } from '../../test/integration/database/provisioned.ts';
import { startTestLiveKit, type TestLiveKit } from '../../test/integration/seats/livekit-server.ts';
import type { GuardOrder, GuardReady } from './guard-child.ts';

/** A guard starts in 0.5 s. */
const guardStartMs = 30_000;

/** A refusal that should not be is counted and the measurement goes on; of a gate that only refuses there is none. */
const admissionTries = 5;

export interface Cast {
  readonly stream: string;
  readonly users: readonly string[];
}

/** What seats stand on: PostgreSQL with the schema, a real LiveKit, and a guard with its gate, each a process. */
export class SeatGround implements AsyncDisposable {
  readonly pool: pg.Pool;
  readonly livekit: TestLiveKit['livekit'];
  readonly admin: LiveKitAdmin;
  readonly gateUrl: string;
  /** Everybody who had the right to come in by the gate, and how often it refused them all the same. */
  readonly legitimate = { attempts: 0, refused: 0 };
  readonly #database: Provisioned;
  readonly #release: ReleaseStack;
  #runs = 0;

  private constructor(database: Provisioned, server: TestLiveKit, gateUrl: string, release: ReleaseStack) {
    this.#database = database;
    this.#release = release;
    this.pool = database.pool;
    this.livekit = server.livekit;
    this.admin = liveKitAdmin(server.livekit);
    this.gateUrl = gateUrl;
  }

  static async start(): Promise<SeatGround> {
    const release = new ReleaseStack(() => {});
    try {
      const [database, server] = await Promise.all([Provisioned.start(), startTestLiveKit()]);
      release.add('database', async () => database[Symbol.asyncDispose]());
      release.add('livekit', async () => server[Symbol.asyncDispose]());
      const gateUrl = await startGuard(database.postgres.databaseUrl, server, release);
      return new SeatGround(database, server, gateUrl, release);
    } catch (error) {
      await release.release();
      throw error;
    }
  }

  /** A stream and people; with seats that let them publish, if so. */
  async cast(users: number, seated = true): Promise<Cast> {
    const run = await this.#database.run(`bench-${++this.#runs}`, users);
    const stream = run.streams[0] ?? '';
    if (seated) {
      const { rowCount } = await this.pool.query('select grant_seat($1, u) from unnest($2::uuid[]) u', [
        stream,
        run.users,
      ]);
      if (rowCount !== users) throw new Error(`${rowCount} of ${users} seats were granted`);
    }
    return { stream, users: run.users };
  }

  /** A token as the policy signs it. */
  token(room: string, sub: string, mayPublish = true): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000);
    const publish = { canPublish: mayPublish, canPublishData: mayPublish };
    const video = { roomJoin: true, room, canSubscribe: true, canUpdateOwnMetadata: false, ...publish };
    const { apiKey, apiSecret } = this.livekit;
    return signLiveKitToken({ iss: apiKey, sub, nbf: nowS, exp: nowS + 60, video }, apiSecret);
  }

  /** By the door that the official client takes first: one peer connection for both directions. */
  enter(url: string, token: string): Promise<SignalOutcome> {
    return enterRoom({ url, token, door: { path: '/rtc/v1' }, clock: systemClock });
  }

  /** Comes in by the gate, as somebody who may; each time they are not let in is counted. @throws when they never are */
  async admit(token: string): Promise<SignalParticipant> {
    this.legitimate.attempts += 1;
    for (let tries = 1; ; tries++) {
      const outcome = await this.enter(this.gateUrl, token);
      if (outcome.kind === 'joined') return outcome.participant;
      this.legitimate.refused += 1;
      if (tries < admissionTries) continue;
      throw new Error(`somebody who may was not let in ${tries} times running: ${JSON.stringify(outcome)}`);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#release.release();
  }
}

async function startGuard(databaseUrl: string, server: TestLiveKit, release: ReleaseStack): Promise<string> {
  const child = fork(new URL('guard-child.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  release.add('guard', async () => {
    if (child.exitCode !== null) return;
    const gone = once(child, 'exit');
    if (child.connected) child.disconnect();
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(late);
  });
  const { url, apiKey, apiSecret } = server.livekit;
  const order: GuardOrder = { databaseUrl, livekit: { url, apiKey, apiSecret: apiSecret.reveal() } };
  child.send(order);
  const signal = AbortSignal.timeout(guardStartMs);
  const [ready] = await Promise.race([
    once(child, 'message', { signal }),
    once(child, 'exit', { signal }).then(() => Promise.reject(new Error('the guard did not start'))),
  ]);
  return (ready as GuardReady).gateUrl; // its only message
}
