import pg from 'pg';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { connectionConfig, sqlStateOf } from '../../../../src/target/postgres/pool.ts';
import type { LedgerDatabase } from './ledger-database.ts';

/** What a statement of a directed test may take before it counts as stuck; a free one takes milliseconds. */
const stuckMs = 20_000;

/** One of the sessions of a directed test: its transactions are where the test puts them. */
export class Session implements AsyncDisposable {
  readonly #client: pg.Client;
  readonly pid: number;

  private constructor(client: pg.Client, pid: number) {
    this.#client = client;
    this.pid = pid;
  }

  /** As the owner of the schema. */
  static async open(ledger: LedgerDatabase): Promise<Session> {
    const client = new pg.Client(
      connectionConfig(ledger.db.postgres.databaseUrl, { statementTimeoutMs: stuckMs }),
    );
    // terminated on purpose in some tests
    client.on('error', () => {});
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new Session(client, rows[0]?.pid ?? 0);
  }

  async query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    sql: string,
    values: unknown[] = [],
  ): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, values)).rows;
  }

  /** The SQLSTATE of its failure, 'ok' when there is none. */
  async outcome(sql: string, values: unknown[] = []): Promise<string> {
    return this.#client.query(sql, values).then(
      () => 'ok',
      (error: unknown) => sqlStateOf(error) || String(error),
    );
  }

  /**
   * Whether it comes to wait for a lock; false when `work`, which runs in it, is over without.
   * @param beyond a session that it waited for before and is to get past
   */
  async waits(ledger: LedgerDatabase, work: Promise<unknown>, beyond?: Session): Promise<boolean> {
    let over = false;
    const settled = () => {
      over = true;
    };
    work.then(settled, settled);
    return pollUntil(
      async () => {
        if (over) return false;
        const blocked = await ledger.db.one<boolean>(
          'select cardinality(p) > 0 and array_position(p, $2::int) is null from pg_blocking_pids($1) as p',
          [this.pid, beyond?.pid ?? null],
        );
        return blocked ? true : undefined;
      },
      { ms: stuckMs, everyMs: 5, what: 'a session waits for a lock' },
    );
  }

  /** Ends its transaction, if there is one, and its connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => {});
  }
}
