import type pg from 'pg';
import type { Target } from '../config/target.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { Logger, Progress } from '../kernel/log.ts';
import { SeededRandom } from '../kernel/random.ts';
import type { ProbeContext } from '../probes/probe.ts';
import { databaseError, openDatabase } from '../target/postgres/pool.ts';
import {
  purgeRunSql,
  runLockHolderSql,
  runLockKeys,
  syntheticRunsSql,
  tryRunLockSql,
} from './session.sql.ts';

export interface RunSessionOptions {
  readonly target: Target;
  readonly runId: string;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly progress: Progress;
  readonly series: ProbeContext['series'];
}

/**
 * One for the lock, four for the experiment that needs most (two drainers, a holder, a reader), the rest for pooled
 * SQL of probes; far below the 60 direct connections of the smallest hosted database.
 */
const connectionsLimit = 20;

/**
 * A run's hold on its target: nobody else may run against it meanwhile, and what the run wrote is removed at the end.
 */
export class RunSession implements AsyncDisposable {
  readonly database: pg.Pool | undefined;
  readonly #options: RunSessionOptions;
  readonly #lock: pg.PoolClient | undefined;
  #closed: Promise<void> | undefined;

  private constructor(
    options: RunSessionOptions,
    database: pg.Pool | undefined,
    lock: pg.PoolClient | undefined,
  ) {
    this.#options = options;
    this.database = database;
    this.#lock = lock;
  }

  /** @throws TF-DB-001, TF-DB-002; TF-DB-004 when another run holds the target */
  static async open(options: RunSessionOptions): Promise<RunSession> {
    const url = options.target.databaseUrl;
    if (url === undefined) return new RunSession(options, undefined, undefined);
    const database = openDatabase(url.reveal(), {
      applicationName: `trollfix run ${options.runId}`,
      max: connectionsLimit,
    });
    try {
      return new RunSession(options, database, await lockTarget(database, options.target.name));
    } catch (error) {
      await database.end();
      throw error instanceof TrollfixError ? error : databaseError(error);
    }
  }

  /**
   * What a probe or experiment gets. Each part has a run id and a random source of its own, so that parts share no
   * rows and adding one does not change the numbers another draws.
   */
  contextFor(part: string): ProbeContext {
    const { target, runId, seed, clock, signal, log, progress, series } = this.#options;
    return {
      target,
      database: this.database,
      runId: `${runId}.${part}`,
      clock,
      random: new SeededRandom(seed).fork(part),
      signal,
      log,
      progress,
      series,
    };
  }

  /** Removes what the run wrote and gives the target free. Idempotent; also after an interruption. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    if (this.database === undefined) return;
    const { runId, log } = this.#options;
    try {
      await purgeRun(this.database, runId);
    } catch (error) {
      log.warn(
        `the synthetic rows of ${runId} are still there (\`trollfix cleanup ${runId}\`): ${messageOf(error)}`,
      );
    }
    // true: the connection is closed, and with it the advisory lock goes
    this.#lock?.release(true);
    await this.database.end();
  }
}

/** Removes every synthetic row of a run and of its parts. @returns rows removed, by table */
export async function purgeRun(database: pg.Pool, runId: string): Promise<Record<string, number>> {
  const { rows } = await database.query<{ run_id: string }>(syntheticRunsSql, [runId]);
  const total: Record<string, number> = {};
  for (const { run_id } of rows) {
    const purged = await database.query<{ removed: Record<string, number> }>(purgeRunSql, [run_id]);
    for (const [table, count] of Object.entries(purged.rows[0]?.removed ?? {})) {
      total[table] = (total[table] ?? 0) + count;
    }
  }
  return total;
}

async function lockTarget(database: pg.Pool, targetName: string): Promise<pg.PoolClient> {
  const client = await database.connect();
  try {
    const { rows } = await client.query<{ locked: boolean }>(tryRunLockSql, [...runLockKeys]);
    if (rows[0]?.locked) return client;
    const holder = await client.query<{ application_name: string; backend_start: Date }>(runLockHolderSql, [
      ...runLockKeys,
    ]);
    const who = holder.rows[0];
    throw new TrollfixError('TF-DB-004', `another run holds target ${targetName}`, {
      ...(who && { why: `${who.application_name}, since ${who.backend_start.toISOString()}` }),
    });
  } catch (error) {
    client.release(true);
    throw error;
  }
}
