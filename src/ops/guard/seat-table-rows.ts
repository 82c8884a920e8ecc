import type { Standing } from './seat-table.ts';

/** A user on a stream, both UUIDs in lower case. */
export interface Pair {
  readonly streamId: string;
  readonly userId: string;
}

/** A pair that has a ban, an active seat or both. */
export interface SeatTableRow extends Pair, Pick<Standing, 'ban' | 'seat'> {}

/** A change that was told and has not been read. */
interface Unread {
  readonly pair: Pair;
  /** How often it was told: a reading that was under way when it was told again does not settle it. */
  told: number;
  readonly waiting: Set<() => void>;
}

/** What is about to be read, as it stood when the reading began. */
export interface Reading {
  readonly pairs: readonly Pair[];
  /** Told so often by then. */
  readonly told: ReadonlyMap<string, number>;
}

const nothing: Pick<Standing, 'ban' | 'seat'> = { ban: null, seat: null };

/** What is told faster than it is read is, beyond this, cheaper to read as a whole. */
const unreadLimit = 10_000;

/** The pairs of a seat table, and which of them are known to have changed. Bounded in both. */
export class SeatTableRows {
  readonly limit: number;
  #rows = new Map<string, Pick<Standing, 'ban' | 'seat'>>();
  readonly #unread = new Map<string, Unread>();
  #overflowed = false;
  /** Changes that were too many to be noted, and how many of them have been loaded since. */
  #missed = 0;
  #missedAndLoaded = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Why nothing can be decided by these rows, or null. */
  get trouble(): string | null {
    if (this.#overflowed) return `there are more than ${this.limit} seats and bans`;
    return this.isBehind ? 'more has changed at once than can be noted' : null;
  }

  /** Whether changes went unnoted: until the next load nobody knows whose. */
  get isBehind(): boolean {
    return this.#missed !== this.#missedAndLoaded;
  }

  get unreadCount(): number {
    return this.#unread.size;
  }

  get(streamId: string, userId: string): Pick<Standing, 'ban' | 'seat'> {
    return this.#rows.get(keyOf(streamId, userId)) ?? nothing;
  }

  isUnread(streamId: string, userId: string): boolean {
    return this.#unread.has(keyOf(streamId, userId));
  }

  /** Notes that a pair has changed. */
  tell(pair: Pair): void {
    const key = keyOf(pair.streamId, pair.userId);
    const known = this.#unread.get(key);
    if (known !== undefined) known.told += 1;
    else if (this.#unread.size >= unreadLimit) this.#missed += 1;
    else this.#unread.set(key, { pair, told: 1, waiting: new Set() });
  }

  /** Begins to read up to `limit` of the unread pairs. */
  take(limit: number): Reading {
    const taken = [...this.#unread].slice(0, limit);
    return {
      pairs: taken.map(([, { pair }]) => pair),
      told: new Map(taken.map(([key, { told }]) => [key, told])),
    };
  }

  /** Takes over what was found for the pairs of a reading; a pair without a row has nothing. */
  put({ told }: Reading, found: readonly SeatTableRow[]): void {
    const rows = new Map(found.map((row) => [keyOf(row.streamId, row.userId), row]));
    for (const key of told.keys()) this.#set(key, rows.get(key));
    this.#settle(told);
  }

  /**
   * Loads everything. What is told while that goes on stays unread: whether it was seen cannot be known.
   * @param load gives at most `limit + 1` rows: one too many is an overflow
   */
  async replaceBy(load: (limit: number) => Promise<readonly SeatTableRow[]>): Promise<void> {
    const { told } = this.take(unreadLimit);
    const missed = this.#missed;
    const found = await load(this.limit + 1);
    this.#overflowed = found.length > this.limit;
    const kept = found.slice(0, this.limit);
    this.#rows = new Map(kept.map((row) => [keyOf(row.streamId, row.userId), standingOf(row)]));
    this.#missedAndLoaded = missed;
    this.#settle(told);
  }

  /** Resolves true when the pair is read (at once when it is), false after `ms`. */
  settled(streamId: string, userId: string, ms: number): Promise<boolean> {
    const unread = this.#unread.get(keyOf(streamId, userId));
    if (unread === undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        unread.waiting.delete(done);
        resolve(false);
      }, ms);
      unread.waiting.add(done);
    });
  }

  #settle(told: ReadonlyMap<string, number>): void {
    for (const [key, count] of told) {
      const unread = this.#unread.get(key);
      if (unread?.told !== count) continue;
      this.#unread.delete(key);
      for (const done of unread.waiting) done();
    }
  }

  #set(key: string, row: SeatTableRow | undefined): void {
    if (row === undefined) this.#rows.delete(key);
    else if (this.#rows.has(key) || this.#rows.size < this.limit) this.#rows.set(key, standingOf(row));
    else this.#overflowed = true;
  }
}

function keyOf(streamId: string, userId: string): string {
  return `${streamId}:${userId}`;
}

function standingOf({ ban, seat }: SeatTableRow): Pick<Standing, 'ban' | 'seat'> {
  return { ban, seat };
}
