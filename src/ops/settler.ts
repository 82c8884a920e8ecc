import pg from 'pg';
import { type Clock, sleep, systemClock } from '../kernel/clock.ts';
import { withDeadline } from '../kernel/deadline.ts';
import { messageOf } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import { connectionConfig, databaseError } from '../target/postgres/pool.ts';
import { callDrain } from './gifts.ts';

export interface SettlerOptions {
  readonly databaseUrl: string;
  /** From start to start; 10 s by default, the schedule's own. */
  readonly everyMs?: number;
  /** How long one drain may go on taking rounds; 8 s by default, so that a full one ends before the next is due. */
  readonly budgetMs?: number;
  readonly log: Logger;
  readonly clock?: Clock;
  /** After every run that the database answered. */
  readonly onRun?: (run: SettlerRun) => void;
}

export interface SettlerRun {
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly backlog: number | null;
  readonly stopReason: string | null;
  readonly error: string | null;
}

export interface SettlerStatus {
  readonly running: boolean;
  readonly connected: boolean;
  readonly runs: number;
  /** Connections lost or refused since the start. */
  readonly disconnects: number;
  readonly lastRun: SettlerRun | null;
  readonly lastError: string | null;
}

export interface Settler {
  /** Begins with a run at once. Idempotent. */
  start(): void;
  /** Waits for the run in progress, at most its budget and one round; then the connection is closed. Idempotent. */
  stop(): Promise<void>;
  status(): SettlerStatus;
}

/** Reconnects after 0.2, 0.4 … s and never waits longer than this: a settler is needed within its 10 s. */
const backoffMs = { first: 200, most: 5_000 };
/** A round takes up to a second (drain_gift_ledger halves its batch above); with room for a slow disk. */
const graceMs = 10_000;

/**
 * The settlement worker for databases without pg_cron, with the same semantics (ledger.md §5): a run never overlaps
 * itself, and of the runs that come due meanwhile at most one is made up for, at once. A lost connection is dialled
 * again; the round that it cut off was rolled back by the server.
 */
export function createSettler(options: SettlerOptions): Settler {
  return new SettlementWorker(options);
}

class SettlementWorker implements Settler {
  readonly #options: SettlerOptions;
  readonly #everyMs: number;
  readonly #budgetMs: number;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  #client: pg.Client | undefined;
  #loop: Promise<void> | undefined;
  #runs = 0;
  #disconnects = 0;
  /** The loss that the next failure is about is counted already. */
  #isCounted = false;
  #lastRun: SettlerRun | null = null;
  #lastError: string | null = null;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#everyMs = options.everyMs ?? 10_000;
    this.#budgetMs = options.budgetMs ?? 8_000;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    this.#loop ??= this.#work();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  status(): SettlerStatus {
    return {
      running: this.#loop !== undefined && !this.#stopping.signal.aborted,
      connected: this.#client !== undefined,
      runs: this.#runs,
      disconnects: this.#disconnects,
      lastRun: this.#lastRun,
      lastError: this.#lastError,
    };
  }

  async #work(): Promise<void> {
    let dueMs = this.#clock.monotonicMs();
    let waitMs = backoffMs.first;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#runOnce();
        waitMs = backoffMs.first;
        // the next tick; or now, once, when it has gone by: ticks missed before that are not made up for
        dueMs = Math.max(dueMs + this.#everyMs, this.#clock.monotonicMs());
        await this.#pause(dueMs - this.#clock.monotonicMs());
      } catch (error) {
        await this.#lose(error);
        await this.#pause(waitMs);
        waitMs = Math.min(waitMs * 2, backoffMs.most);
      }
    }
    await this.#hangUp();
  }

  async #runOnce(): Promise<void> {
    const client = await this.#connected();
    const startedAtMs = this.#clock.now();
    const beganMs = this.#clock.monotonicMs();
    const row = await callDrain(client, this.#budgetMs, 'settler');
    const run: SettlerRun = {
      startedAtMs,
      durationMs: this.#clock.monotonicMs() - beganMs,
      claimed: row.claimed,
      settled: row.settled,
      failed: row.failed,
      backlog: row.backlog_count,
      stopReason: row.stop_reason,
      error: row.error,
    };
    this.#runs++;
    this.#lastRun = run;
    this.#lastError = run.error;
    if (run.error === null) this.#options.log.debug('settled', { ...run });
    else this.#options.log.error(`a settlement round failed: ${run.error}`, { ...run });
    this.#options.onRun?.(run);
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== undefined) return this.#client;
    const client = new pg.Client({
      ...connectionConfig(this.#options.databaseUrl, { applicationName: 'trollfix settler' }),
      // a server that is gone without a word must not hold the settler for ever
      query_timeout: this.#budgetMs + graceMs,
    });
    // between two runs nothing else tells of it; during a run the query fails as well, which is the same loss
    client.on('error', (error) => {
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#count(error);
      this.#isCounted = true;
    });
    await client.connect();
    this.#client = client;
    this.#isCounted = false;
    if (this.#disconnects > 0) this.#options.log.info('connected again');
    return client;
  }

  async #lose(error: unknown): Promise<void> {
    if (!this.#isCounted) this.#count(error);
    this.#isCounted = false;
    await this.#hangUp();
  }

  #count(error: unknown): void {
    this.#disconnects++;
    const message = messageOf(databaseError(error));
    // said once, not at every attempt
    if (message !== this.#lastError) this.#options.log.warn(`settlement is interrupted: ${message}`);
    this.#lastError = message;
  }

  async #hangUp(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    // a dead peer does not answer the goodbye
    await withDeadline(client.end(), 1000, 'closing the connection').catch(() => {});
  }

  async #pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, this.#stopping.signal).catch(() => {}); // woken by stop(): the loop looks at it
  }
}
