import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { SeededRandom } from '../../../src/kernel/random.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { ReleaseStack } from '../../../src/kernel/release-stack.ts';
import type { ProbeContext } from '../../../src/probes/probe.ts';
import { provision } from '../../../src/provision/provision.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestPostgres, type TestPostgres } from '../harness/postgres.ts';
import { startTestLiveKit, type TestLiveKit } from './livekit-server.ts';
import { startTokenApp, type TokenApp } from './token-app.ts';

/** What seats stand on: the app's schema, a real LiveKit, and a token endpoint that tests can bend. */
export interface SeatStage extends AsyncDisposable {
  readonly postgres: TestPostgres;
  readonly database: pg.Pool;
  readonly livekit: TestLiveKit;
  readonly tokenApp: TokenApp;
  readonly target: Target;
  /** A probe's context with a run of its own, and what it wrote. */
  probeContext(changes?: Partial<Target>): ProbeContext & { readonly rows: Array<Record<string, unknown>> };
}

/** @param webhookUrl where its LiveKit reports to */
export async function startSeatStage(webhookUrl?: string): Promise<SeatStage> {
  const release = new ReleaseStack(() => {});
  try {
    const [postgres, livekit] = await Promise.all([startTestPostgres(), startTestLiveKit(webhookUrl)]);
    release.add('postgres', () => postgres.stop());
    release.add('livekit', async () => livekit[Symbol.asyncDispose]());
    const database = openDatabase(postgres.databaseUrl, { max: 6 });
    release.add('pool', () => database.end());
    await provision(database, { log: silentLogger, progress: silentProgress });
    const jwtSecret = randomBytes(24).toString('hex');
    const tokenApp = await startTokenApp({ database, livekit: livekit.livekit, jwtSecret });
    release.add('token app', async () => tokenApp[Symbol.asyncDispose]());
    const target: Target = {
      name: 'test',
      kind: 'embedded',
      supabaseUrl: 'http://127.0.0.1:9',
      anonKey: new Secret('anon-key-of-a-test'),
      serviceRoleKey: undefined,
      jwtSecret: new Secret(jwtSecret),
      databaseUrl: new Secret(postgres.databaseUrl),
      livekit: livekit.livekit,
      hls: undefined,
      tokenEndpoint: tokenApp.url,
      limits: undefined,
    };
    let runs = 0;
    return {
      postgres,
      database,
      livekit,
      tokenApp,
      target,
      probeContext(changes = {}) {
        const rows: Array<Record<string, unknown>> = [];
        return {
          target: { ...target, ...changes },
          database,
          runId: `seats-${++runs}`,
          clock: systemClock,
          random: new SeededRandom(runs),
          signal: AbortSignal.timeout(100_000),
          log: silentLogger,
          progress: silentProgress,
          series: (_file, row) => rows.push(row),
          rows,
        };
      },
      [Symbol.asyncDispose]: () => release.release(),
    };
  } catch (error) {
    await release.release();
    throw error;
  }
}
