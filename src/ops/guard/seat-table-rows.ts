import type { Standing } from './seat-table.ts';

/** A user on a stream, both UUIDs in lower case. */
export interface Pair {
  readonly streamId: string;
  readonly userId: string;
}

/** A row of the standings queries. */
export interface StandingRow {
  readonly stream_id: string;
  readonly user_id: string;
  readonly banned: boolean;
  readonly ban_until_ms: number | null;
  readonly seated: boolean;
  readonly can_publish: boolean | null;
  readonly seat_expires_ms: number | null;
}

type Row = Pick<Standing, 'ban' | 'seat'>;

/** A change that was told and has not been read. */
interface Unread {
  readonly pair: Pair;
  /** Counts what was told of this pair: a reading that was under way when it was told again does not settle it. */
  told: number;
  readonly waiting: Set<() => void>;
}

const nothing: Row = { ban: null, seat: null };

/** What is told faster than it is read is, beyond this, cheaper to read as a whole. */
const unreadLimit = 10_000;

/** The pairs of the seat table, and which of them are known to have changed. */
export class SeatTableRows {
  readonly #pairsLimit: number;
  #rows = new Map<string, Row>();
  readonly #unread = new Map<string, Unread>();
  #overflowed = false;

  constructor(pairsLimit: number) {
    this.#pairsLimit = pairsLimit;
  }

  get size(): number {
    return this.#rows.size;
  }

  get pairsLimit(): number {
    return this.#pairsLimit;
  }

  /** Whether there were more pairs than fit: then it cannot be told who has none. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  get unreadCount(): number {
    return this.#unread.size;
  }

  get(streamId: string, userId: string): Row {
    return this.#rows.get(keyOf(streamId, userId)) ?? nothing;
  }

  isUnread(streamId: string, userId: string): boolean {
    return this.#unread.has(keyOf(streamId, userId));
  }

  /** Notes that a pair has changed. @returns false when so many are unread that all have to be loaded instead */
  tell(pair: Pair): boolean {
    const key = keyOf(pair.streamId, pair.userId);
    const known = this.#unread.get(key);
    if (known !== undefined) known.told += 1;
    else if (this.#unread.size >= unreadLimit) return false;
    else this.#unread.set(key, { pair, told: 1, waiting: new Set() });
    return true;
  }

  /** Up to `limit` unread pairs, and what is to be called with the rows that were read for them. */
  take(limit: number): {
    readonly pairs: readonly Pair[];
    readonly put: (rows: readonly StandingRow[]) => void;
  } {
    const taken = [...this.#unread.entries()].slice(0, limit).map(([key, unread]) => ({
      key,
      unread,
      told: unread.told,
    }));
    return {
      pairs: taken.map(({ unread }) => unread.pair),
      put: (rows) => {
        const read = new Map(rows.map((row) => [keyOf(row.stream_id, row.user_id), rowOf(row)]));
        for (const { key, unread, told } of taken) {
          this.#set(key, read.get(key));
          if (unread.told === told) this.#settle(key);
        }
      },
    };
  }

  /**
   * Replaces everything by what a load gave. `began` says what had been told before it: only that is settled by it.
   * More rows than fit are an overflow.
   */
  replace(rows: readonly StandingRow[], began: ReadonlyMap<string, number>): void {
    this.#overflowed = rows.length > this.#pairsLimit;
    this.#rows = new Map(
      rows.slice(0, this.#pairsLimit).map((row) => [keyOf(row.stream_id, row.user_id), rowOf(row)]),
    );
    for (const [key, told] of began) if (this.#unread.get(key)?.told === told) this.#settle(key);
  }

  /** What is unread now, for {@link replace}. */
  toldSoFar(): Map<string, number> {
    return new Map([...this.#unread].map(([key, { told }]) => [key, told]));
  }

  /** Resolves true when the pair is read, false after `ms`. */
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

  #settle(key: string): void {
    const unread = this.#unread.get(key);
    this.#unread.delete(key);
    for (const done of unread?.waiting ?? []) done();
  }

  #set(key: string, row: Row | undefined): void {
    if (row === undefined) this.#rows.delete(key);
    else if (this.#rows.has(key) || this.#rows.size < this.#pairsLimit) this.#rows.set(key, row);
    else this.#overflowed = true;
  }
}

function keyOf(streamId: string, userId: string): string {
  return `${streamId}:${userId}`;
}

function rowOf(row: StandingRow): Row {
  return {
    ban: row.banned ? { untilMs: row.ban_until_ms } : null,
    seat: row.seated ? { canPublish: row.can_publish === true, expiresAtMs: row.seat_expires_ms } : null,
  };
}
