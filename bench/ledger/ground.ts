import pg from 'pg';
import { Provisioned } from '../../test/integration/database/provisioned.ts';
import { batchSql, feedSql, fundsSql, peopleSql } from './ground.sql.ts';

/** A list of the bulk intake holds this many at most. */
const listLength = 10_000;

/** A PostgreSQL 17 of its own with our schema and people who send gifts; removed at the end. */
export class Ground implements AsyncDisposable {
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  readonly senders: number;
  readonly #database: Provisioned;

  private constructor(database: Provisioned, senders: number) {
    this.#database = database;
    this.pool = database.pool;
    this.databaseUrl = database.postgres.databaseUrl;
    this.senders = senders;
  }

  static async start(senders: number): Promise<Ground> {
    const ground = new Ground(await Provisioned.start(), senders);
    await ground.pool.query('create schema bench');
    await ground.pool.query(peopleSql, [senders]);
    await ground.pool.query(fundsSql);
    await ground.tidy();
    return ground;
  }

  /** A connection of its own, for what must not wait for a place in the pool. */
  session(): Promise<pg.PoolClient> {
    return this.#database.session();
  }

  /** What autovacuum would have done by now on a server that is older than a few seconds. */
  async tidy(): Promise<void> {
    for (const table of ['profiles', 'wallets', 'gift_pending', 'gift_ledger', 'gift_settlements']) {
      await this.pool.query(`vacuum analyze public.${table}`);
    }
  }

  /**
   * A checkpoint, after which the log's segments so far are there to be used again. A server of some age has them; a new
   * one makes each of 16 MB, zeroes and syncs it, and everybody's commit waits meanwhile.
   */
  async checkpoint(): Promise<void> {
    const admin = new pg.Client({ connectionString: this.#database.postgres.adminUrl });
    await admin.connect();
    await admin.query('checkpoint');
    await admin.end();
  }

  /** Takes in `gifts` gifts from the first `senders` senders. */
  async feed(gifts: number, senders = this.senders): Promise<void> {
    for (let left = gifts; left > 0; left -= listLength) {
      await this.pool.query(feedSql, [Math.min(left, listLength), senders]);
    }
  }

  /** One round of the product. @throws when another session held the lock */
  async settle(batch: number): Promise<{ claimed: number; settled: number }> {
    const { rows } = await this.pool.query<{ claimed: number; settled: number; busy: boolean }>(batchSql, [
      batch,
    ]);
    const [round] = rows;
    if (round === undefined || round.busy) throw new Error('another session settles on the bench');
    return round;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#database[Symbol.asyncDispose]();
  }
}

/** How long `work` takes, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
}
