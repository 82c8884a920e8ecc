import type pg from 'pg';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import { ReleaseStack } from '../../../../src/kernel/release-stack.ts';
import type { Gate, GateOptions } from '../../../../src/ops/guard/gate.ts';
import { startGate } from '../../../../src/ops/guard/gate.ts';
import { createSeatTable, type SeatTable } from '../../../../src/ops/guard/seat-table.ts';
import { signLiveKitToken } from '../../../../src/target/livekit/mint.ts';
import { Provisioned, type SyntheticRun } from '../../database/provisioned.ts';
import { startTestLiveKit, type TestLiveKit } from '../../seats/livekit-server.ts';

/** A database with the app's schema, a real LiveKit, a seat table fed by the one and a gate in front of the other. */
export interface GateStage extends AsyncDisposable {
  readonly db: Provisioned;
  readonly livekit: TestLiveKit;
  readonly table: SeatTable;
  readonly gate: Gate;
  /** Another gate on the same table. */
  startGate(options?: Partial<GateOptions>): Promise<Gate>;
  /** A token as the policy signs them; `video` and `claims` change it. */
  token(
    who: { readonly room: string; readonly sub: string },
    video?: Record<string, unknown>,
    claims?: Record<string, unknown>,
  ): Promise<string>;
  cast(users: number): Promise<SyntheticRun & { readonly stream: string }>;
  sql(text: string, values?: unknown[]): Promise<pg.QueryResult>;
}

/** There is no guard in these tests that would be quicker. */
export const quickToCut = { cutAfterMs: 300 };

export async function startGateStage(): Promise<GateStage> {
  const release = new ReleaseStack(() => {});
  try {
    const [db, livekit] = await Promise.all([Provisioned.start(), startTestLiveKit()]);
    release.add('database', async () => db[Symbol.asyncDispose]());
    release.add('livekit', async () => livekit[Symbol.asyncDispose]());
    const table = release.use(
      'table',
      createSeatTable({
        databaseUrl: new Secret(db.postgres.databaseUrl),
        clock: systemClock,
        log: silentLogger,
      }),
    );
    await table.start();
    const { apiKey, apiSecret, url: upstream } = livekit.livekit;
    const gateWith = async (options: Partial<GateOptions> = {}) =>
      release.use(
        'gate',
        await startGate({
          listen: { host: '127.0.0.1', port: 0 },
          upstream,
          apiKey,
          apiSecret,
          table,
          failOpen: false,
          limits: quickToCut,
          clock: systemClock,
          log: silentLogger,
          ...options,
        }),
      );
    let runs = 0;
    return {
      db,
      livekit,
      table,
      gate: await gateWith(),
      startGate: gateWith,
      token({ room, sub }, video = {}, claims = {}) {
        const nowS = Math.floor(Date.now() / 1000);
        const grants = { roomJoin: true, room, canPublish: false, canSubscribe: true, canPublishData: false };
        return signLiveKitToken(
          { iss: apiKey, sub, nbf: nowS, exp: nowS + 60, video: { ...grants, ...video }, ...claims },
          apiSecret,
        );
      },
      async cast(users) {
        const run = await db.run(`gate-${++runs}`, users);
        return { ...run, stream: run.streams[0] ?? '' };
      },
      sql: (text, values = []) => db.pool.query(text, values),
      [Symbol.asyncDispose]: () => release.release(),
    };
  } catch (error) {
    await release.release();
    throw error;
  }
}
