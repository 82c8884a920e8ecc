import type pg from 'pg';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { provision } from '../../../src/provision/provision.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestPostgres, type TestPostgres } from '../harness/postgres.ts';

export const quiet = { log: silentLogger, progress: silentProgress };

export interface SyntheticRun {
  readonly runId: string;
  readonly users: string[];
  readonly streams: string[];
}

/** A real PostgreSQL with the platform and our schema, and the ways tests talk to it. */
export class Provisioned implements AsyncDisposable {
  readonly postgres: TestPostgres;
  /** As `postgres`, the owner. */
  readonly pool: pg.Pool;
  /** As `authenticator`, which takes on a request's role. */
  readonly requests: pg.Pool;
  readonly #extra: pg.Pool[] = [];

  private constructor(postgres: TestPostgres) {
    this.postgres = postgres;
    this.pool = openDatabase(postgres.databaseUrl, { max: 12 });
    this.requests = openDatabase(postgres.authenticatorUrl, { max: 12 });
  }

  static async start(): Promise<Provisioned> {
    const database = new Provisioned(await startTestPostgres());
    await provision(database.pool, quiet);
    return database;
  }

  /** A connection of its own, closed at the end. */
  async session(): Promise<pg.PoolClient> {
    const pool = openDatabase(this.postgres.databaseUrl, { max: 1 });
    this.#extra.push(pool);
    const client = await pool.connect();
    // killed on purpose in some tests
    client.on('error', () => {});
    return client;
  }

  /** One statement as a request would run it: role and claims in a transaction of its own. */
  async as(
    role: 'anon' | 'authenticated' | 'service_role',
    userId: string | null,
    sql: string,
    values: unknown[] = [],
  ) {
    const client = await this.requests.connect();
    try {
      // a request that something blocks fails the test instead of hanging it
      await client.query("begin; set local lock_timeout = '2s'");
      await client.query("select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", [
        role,
        JSON.stringify({ role, ...(userId === null ? {} : { sub: userId }) }),
      ]);
      const result = await client.query(sql, values);
      await client.query('commit');
      return result.rows;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  async run(
    runId: string,
    users: number,
    options: { streams?: number; balance?: number } = {},
  ): Promise<SyntheticRun> {
    const { rows } = await this.pool.query('select create_synthetic_run($1, $2, $3, $4) as made', [
      runId,
      users,
      options.streams ?? 1,
      options.balance ?? 0,
    ]);
    const made = rows[0].made as { users: { id: string }[]; streams: { id: string }[] }; // the function's documented shape
    return { runId, users: made.users.map(({ id }) => id), streams: made.streams.map(({ id }) => id) };
  }

  /** Real people (no run): `n` profiles with coins, and one stream of the first. */
  async realPeople(n: number, balance: number): Promise<{ users: string[]; stream: string }> {
    const { rows } = await this.pool.query(
      `with p as (
        insert into profiles (id, username) select id, 'real-' || id from (select gen_random_uuid() as id from generate_series(1, $1)) g
        returning id
      ) select id from p`,
      [n],
    );
    const users = rows.map(({ id }) => id as string); // uuid arrives as text
    for (const user of users) {
      await this.pool.query("select deposit_coins(gen_random_uuid(), $1, $2, 'test')", [user, balance]);
    }
    const stream = await this.pool.query('insert into streams (owner_id) values ($1) returning id', [
      users[0],
    ]);
    return { users, stream: stream.rows[0].id };
  }

  async one<T = unknown>(sql: string, values: unknown[] = []): Promise<T> {
    const { rows } = await this.pool.query({ text: sql, values, rowMode: 'array' });
    return rows[0]?.[0] as T; // the caller knows what it selected
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of [this.pool, this.requests, ...this.#extra]) {
      // a session that is still checked out would keep end() waiting: the server's stop ends it
      void pool.end().catch(() => {});
    }
    await this.postgres.stop();
  }
}

/** The SQLSTATE that a query is refused with; undefined when it goes through. */
export async function refusal(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}
