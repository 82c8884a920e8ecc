import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { type Clock, sleep } from '../../kernel/clock.ts';
import { withDeadline } from '../../kernel/deadline.ts';
import { messageOf } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import type { Logger } from '../../kernel/log.ts';
import { redact, type Secret } from '../../kernel/redact.ts';
import { connectionConfig } from '../../target/postgres/pool.ts';
import { listenSeatChangesSql } from '../seats.sql.ts';
import { allStandingsSql, heartbeatSql, someStandingsSql } from './seat-table.sql.ts';
import type { SeatChange } from './seat-table.ts';
import type { Pair, SeatTableRow, SeatTableRows } from './seat-table-rows.ts';

/** A row of the standings queries. */
interface StandingRow {
  readonly stream_id: string;
  readonly user_id: string;
  readonly banned: boolean;
  readonly ban_until_ms: number | null;
  readonly seated: boolean;
  readonly can_publish: boolean | null;
  readonly seat_expires_ms: number | null;
}

interface FeedOptions {
  readonly databaseUrl: Secret;
  readonly clock: Clock;
  readonly log: Logger;
  readonly rows: SeatTableRows;
  readonly heartbeatMs: number;
  readonly staleAfterMs: number;
  readonly reloadMs: number;
  readonly changed: (change: SeatChange) => void;
}

/** A lost connection is opened again after this: a server that restarts refuses for a second or two. */
const reconnectMs = 500;

/** Loading everything took 0.4 s for 200,000 pairs here; a server that takes this long is as good as away. */
const loadDeadlineMs = 15_000;

/** Pairs read by one query: a burst of 200 revocations is one round. */
const batchLimit = 1_000;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A sample of the clock that was under way for longer than this says too little. */
const clockSampleMs = 500;

/** Fills the rows from the database and keeps them so, over one connection that it opens again when it is lost. */
export class SeatTableFeed {
  readonly #options: FeedOptions;
  /** Of this feed alone, so that it hears itself and wakes nobody else. */
  readonly #heartbeatChannel = `trollfix_gate_${randomBytes(8).toString('hex')}`;
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #loaded = false;
  #trouble = 'it has not been loaded yet';
  /** When the newest heartbeat that came back was sent (monotonic): up to then nothing is missing. */
  #provenAtMs: number | undefined;
  #reloadDue = false;
  #clockOffsetMs: number | undefined;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();
  #loads = 0;
  #rereads = 0;
  #connects = 0;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#running) return;
    this.#stopping = new AbortController();
    const tried = Promise.withResolvers<void>();
    this.#running = this.#run(tried.resolve);
    await tried.promise;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the seat table is stopping'));
    this.#wake.resolve();
    await this.#running;
    this.#running = undefined;
  }

  /** Why the rows are not what the database says, or null when they are. */
  whyNotReady(): string | null {
    const { rows, staleAfterMs } = this.#options;
    if (!this.#loaded) return this.#trouble;
    if (rows.trouble !== null) return rows.trouble;
    const ageMs = this.ageMs();
    if (ageMs === null || ageMs > staleAfterMs) return `the database has been silent for ${staleAfterMs} ms`;
    return null;
  }

  /** Has a pair read. What are no ids has no row, and would only be an error of the database. */
  tell(pair: Pair): void {
    if (!isPair(pair)) return;
    this.#options.rows.tell(pair);
    this.#wake.resolve();
  }

  ageMs(): number | null {
    return this.#provenAtMs === undefined ? null : this.#options.clock.monotonicMs() - this.#provenAtMs;
  }

  nowMs(): number {
    const { clock } = this.#options;
    return this.#clockOffsetMs === undefined ? clock.now() : clock.monotonicMs() + this.#clockOffsetMs;
  }

  counts() {
    return { loads: this.#loads, rereads: this.#rereads, connects: this.#connects };
  }

  /** One connection after the other; `tried` is called when the first has loaded the table, or failed to. */
  async #run(tried: () => void): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const failure = await this.#follow(signal, tried).catch((error: unknown) => error);
      this.#loaded = false;
      this.#trouble = signal.aborted ? 'it was stopped' : 'the connection to the database is lost';
      tried();
      if (signal.aborted) return;
      log.warn('seat table: not fed, will try again', { error: redact(messageOf(failure)) });
      await sleep(reconnectMs, signal).catch(() => {});
    }
  }

  /** Follows the database over one connection until that breaks or is told to stop, and throws why. */
  async #follow(signal: AbortSignal, ready: () => void): Promise<never> {
    const client = new pg.Client(
      connectionConfig(this.#options.databaseUrl.reveal(), { applicationName: 'trollfix-seat-table' }),
    );
    const link = new AbortController();
    const cut = (error: unknown) => {
      link.abort(error);
      this.#wake.resolve();
      // no farewell: a server that is frozen would never answer it. Queries that wait fail by this
      client.connection.stream.destroy();
    };
    const stop = () => cut(signal.reason);
    client.on('error', cut);
    client.on('end', () => cut(new Error('the connection ended')));
    signal.addEventListener('abort', stop, { once: true });
    this.#provenAtMs = undefined;
    try {
      signal.throwIfAborted();
      await client.connect();
      this.#connects += 1;
      client.on('notification', ({ channel, payload }) => this.#hear(channel, payload ?? ''));
      return await this.#serve(client, link.signal, ready);
    } finally {
      signal.removeEventListener('abort', stop);
      cut(new Error('the connection is given up'));
    }
  }

  async #serve(client: pg.Client, link: AbortSignal, ready: () => void): Promise<never> {
    const { heartbeatMs, reloadMs, staleAfterMs, clock, rows } = this.#options;
    // first the ear, then the look: what is committed in between is heard
    await this.#query(client, loadDeadlineMs, listenSeatChangesSql);
    await this.#query(client, loadDeadlineMs, `listen "${this.#heartbeatChannel}"`);
    const listeningSinceMs = clock.monotonicMs();
    let reloadAtMs = 0;
    let beatAtMs = 0;
    while (true) {
      link.throwIfAborted();
      this.#wake = Promise.withResolvers();
      if (rows.isBehind || this.#reloadDue || clock.monotonicMs() >= reloadAtMs) {
        reloadAtMs = clock.monotonicMs() + reloadMs;
        await this.#load(client);
      }
      if (clock.monotonicMs() >= beatAtMs) {
        beatAtMs = clock.monotonicMs() + heartbeatMs;
        await this.#beat(client);
        if (clock.monotonicMs() - (this.#provenAtMs ?? listeningSinceMs) > staleAfterMs) {
          throw new Error('notifications do not come back: is this a transaction pooler?');
        }
        if (this.#provenAtMs !== undefined) ready();
      }
      if (rows.unreadCount > 0) await this.#reread(client);
      else await this.#rest(Math.min(beatAtMs, reloadAtMs) - clock.monotonicMs());
    }
  }

  /** Waits for something to be heard, or `ms`. */
  async #rest(ms: number): Promise<void> {
    const timer = setTimeout(this.#wake.resolve, Math.max(0, ms));
    await this.#wake.promise;
    clearTimeout(timer);
  }

  #hear(channel: string, payload: string): void {
    if (channel === this.#heartbeatChannel) {
      this.#provenAtMs = Number(payload);
      return;
    }
    const pair = pairOf(payload);
    if (pair !== null) {
      this.tell(pair);
      return;
    }
    this.#reloadDue = true;
    this.#wake.resolve();
  }

  async #load(client: pg.Client): Promise<void> {
    const { rows, changed } = this.#options;
    this.#reloadDue = false;
    await rows.replaceBy((limit) => this.#standings(client, allStandingsSql, [limit]));
    this.#loads += 1;
    this.#loaded = true;
    changed('all');
  }

  async #reread(client: pg.Client): Promise<void> {
    const { rows, changed } = this.#options;
    const reading = rows.take(batchLimit);
    const { pairs } = reading;
    const streamIds = pairs.map(({ streamId }) => streamId);
    const userIds = pairs.map(({ userId }) => userId);
    rows.put(reading, await this.#standings(client, someStandingsSql, [streamIds, userIds]));
    this.#rereads += pairs.length;
    changed(pairs);
  }

  async #standings(client: pg.Client, sql: string, values: unknown[]): Promise<SeatTableRow[]> {
    const found = await this.#query<StandingRow>(client, loadDeadlineMs, sql, values);
    return found.map((row) => ({
      streamId: row.stream_id,
      userId: row.user_id,
      ban: row.banned ? { untilMs: row.ban_until_ms } : null,
      seat: row.seated ? { canPublish: row.can_publish === true, expiresAtMs: row.seat_expires_ms } : null,
    }));
  }

  /** Sends a heartbeat through the feed itself and takes a sample of the database's clock. */
  async #beat(client: pg.Client): Promise<void> {
    const { clock, staleAfterMs } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const [row] = await this.#query<{ now_ms: number }>(client, staleAfterMs, heartbeatSql, [
      this.#heartbeatChannel,
      String(sentAtMs),
    ]);
    const tookMs = clock.monotonicMs() - sentAtMs;
    if (row === undefined || (tookMs > clockSampleMs && this.#clockOffsetMs !== undefined)) return;
    this.#clockOffsetMs = row.now_ms - (sentAtMs + tookMs / 2);
  }

  async #query<Row extends pg.QueryResultRow>(
    client: pg.Client,
    deadlineMs: number,
    sql: string,
    values: unknown[] = [],
  ): Promise<Row[]> {
    const result = await withDeadline(
      client.query<Row>(sql, values),
      deadlineMs,
      'a query of the seat table',
    );
    return result.rows;
  }
}

/** The pair that a notification names, or null for anything else: any role may notify, with any text. */
function pairOf(payload: string): Pair | null {
  let told: unknown;
  try {
    told = JSON.parse(payload);
  } catch {
    return null;
  }
  if (!isObject(told)) return null;
  const { stream_id: streamId, user_id: userId } = told;
  if (typeof streamId !== 'string' || typeof userId !== 'string') return null;
  const pair = { streamId, userId };
  return isPair(pair) ? pair : null;
}

function isPair({ streamId, userId }: Pair): boolean {
  return uuidPattern.test(streamId) && uuidPattern.test(userId);
}
