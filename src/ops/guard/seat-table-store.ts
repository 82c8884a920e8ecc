import { type Clock, sleep } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { redact } from '../../kernel/redact.ts';
import type { ChangeListener } from './change-source.ts';
import type { GuardStore, SeatFact } from './guard-store.ts';
import type { SeatChange, SeatTable } from './seat-table.ts';
import { type SeatTableRow, SeatTableRows } from './seat-table-rows.ts';

export interface StoreSeatTableOptions {
  readonly store: Pick<GuardStore, 'seatFacts'>;
  /** Its time counts for expiries: the API does not tell the database's. */
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * How often everything is loaded: 2 s. Changes that are told come in between; that none was lost on its way nobody
   * proves here, so this is how long a lost one can matter.
   */
  readonly reloadMs?: number;
  /** Loaded longer ago than this, the table is not current: four loads that failed. */
  readonly staleAfterMs?: number;
  readonly rowsLimit?: number;
}

/** A failed round is tried again after this. */
const retryMs = 500;

/** Pairs asked for at once: a thousand are 80 kB of request. */
const batchLimit = 1_000;

/**
 * A seat table for where there is no connection to PostgreSQL: it reads through the store (the project's REST API) and
 * is told of changes by whoever hears of them. Its promises are weaker than those of the table that listens itself:
 * a change that nobody told is known at the next load.
 */
export function createStoreSeatTable(options: StoreSeatTableOptions): SeatTable & ChangeListener {
  return new StoreSeatTable(options);
}

class StoreSeatTable implements SeatTable, ChangeListener {
  readonly #options: StoreSeatTableOptions;
  readonly #rows: SeatTableRows;
  readonly #listeners = new Set<(change: SeatChange) => void>();
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();
  /** When the load that succeeded last was begun (monotonic): up to then nothing is missing. */
  #loadedAtMs: number | undefined;
  #reloadDue = true;
  /** What the last round failed of. */
  #failure: string | null = null;
  #loads = 0;
  #rereads = 0;
  #connects = 0;

  constructor(options: StoreSeatTableOptions) {
    this.#options = options;
    this.#rows = new SeatTableRows(options.rowsLimit ?? 200_000);
  }

  changed(pair: Parameters<ChangeListener['changed']>[0]): void {
    if (pair === null) this.#reloadDue = true;
    else this.#rows.tell(pair);
    this.#wake.resolve();
  }

  connected(): void {
    this.#connects += 1;
    this.#reloadDue = true;
    this.#wake.resolve();
  }

  lost(): void {
    // loads go on and find what nobody tells
    this.#reloadDue = true;
    this.#wake.resolve();
  }

  async start(): Promise<void> {
    if (this.#running) return;
    this.#stopping = new AbortController();
    const tried = Promise.withResolvers<void>();
    this.#running = this.#run(this.#stopping.signal, tried.resolve);
    await tried.promise;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the seat table is stopping'));
    this.#wake.resolve();
    await this.#running;
    this.#running = undefined;
  }

  standing(streamId: string, userId: string) {
    const current = this.#whyNotReady() === null && !this.#rows.isUnread(streamId, userId);
    return { current, ...this.#rows.get(streamId, userId) };
  }

  status() {
    const why = this.#whyNotReady();
    const counts = { loads: this.#loads, rereads: this.#rereads, connects: this.#connects };
    const { size: pairs, limit: pairsLimit } = this.#rows;
    return { ready: why === null, why, ageMs: this.#ageMs(), pairs, pairsLimit, ...counts };
  }

  nowMs(): number {
    return this.#options.clock.now();
  }

  settled(streamId: string, userId: string, ms: number): Promise<boolean> {
    return this.#rows.settled(streamId, userId, ms);
  }

  refresh(streamId: string, userId: string, ms: number): Promise<boolean> {
    this.changed({ streamId, userId });
    return this.settled(streamId, userId, ms);
  }

  onChange(listener: (change: SeatChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #ageMs(): number | null {
    return this.#loadedAtMs === undefined ? null : this.#options.clock.monotonicMs() - this.#loadedAtMs;
  }

  #whyNotReady(): string | null {
    const { staleAfterMs = 8_000 } = this.#options;
    const ageMs = this.#ageMs();
    if (this.#running === undefined || this.#stopping.signal.aborted) return 'it is not running';
    if (ageMs === null) return this.#failure ?? 'it has not been loaded yet';
    if (ageMs > staleAfterMs) return this.#failure ?? `it was read longer than ${staleAfterMs} ms ago`;
    return this.#rows.trouble;
  }

  async #run(signal: AbortSignal, tried: () => void): Promise<void> {
    const { clock, log, reloadMs = 2_000 } = this.#options;
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        const due = this.#ageMs() ?? Number.POSITIVE_INFINITY;
        if (this.#reloadDue || this.#rows.isBehind || due >= reloadMs) await this.#load();
        // one batch: who has pairs read without end must not keep the next load from its turn
        if (this.#rows.unreadCount > 0 && !signal.aborted) await this.#reread();
        if (this.#failure !== null) log.info('seat table: it is read again');
        this.#failure = null;
      } catch (error) {
        const message = redact(messageOf(error));
        if (this.#failure === null) log.warn('seat table: it cannot be read', { error: message });
        this.#failure = `it cannot be read: ${message}`;
        await sleep(retryMs, signal).catch(() => {}); // woken by stop(): the loop looks at it
      }
      tried();
      if (this.#failure !== null || this.#rows.unreadCount > 0) continue;
      await this.#rest((this.#loadedAtMs ?? 0) + reloadMs - clock.monotonicMs());
    }
  }

  async #rest(ms: number): Promise<void> {
    const timer = setTimeout(this.#wake.resolve, Math.max(0, ms));
    await this.#wake.promise;
    clearTimeout(timer);
  }

  async #load(): Promise<void> {
    const begunAtMs = this.#options.clock.monotonicMs();
    this.#reloadDue = false;
    try {
      await this.#rows.replaceBy(async () => (await this.#options.store.seatFacts(null)).flatMap(rowOf));
    } catch (error) {
      this.#reloadDue = true;
      throw error;
    }
    this.#loadedAtMs = begunAtMs;
    this.#loads += 1;
    this.#tell('all');
  }

  async #reread(): Promise<void> {
    const reading = this.#rows.take(batchLimit);
    this.#rows.put(reading, (await this.#options.store.seatFacts(reading.pairs)).flatMap(rowOf));
    this.#rereads += reading.pairs.length;
    this.#tell(reading.pairs);
  }

  #tell(change: SeatChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Nothing for a fact that neither bans nor seats: seats that were lost are most of them. */
function rowOf({ streamId, userId, ban, seat }: SeatFact): SeatTableRow[] {
  const active = seat?.state === 'active' ? seat : null;
  if (ban === null && active === null) return [];
  return [
    {
      streamId,
      userId,
      ban: ban && { untilMs: momentOf(ban.until, Number.POSITIVE_INFINITY) },
      seat: active && { canPublish: active.canPublish, expiresAtMs: momentOf(active.expiresAt, 0) },
    },
  ];
}

/** Null stays null; what cannot be read counts against its owner: a ban without end, a seat that is over. */
function momentOf(iso: string | null, unreadable: number): number | null {
  if (iso === null) return null;
  const ms = Date.parse(iso);
  return Number.isNaN(ms) ? unreadable : ms;
}
