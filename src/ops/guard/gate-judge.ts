import { sleep } from '../../kernel/clock.ts';
import { type Admission, decideAdmission, isBanned, type Refusal, type RefusalReason } from './admission.ts';
import type { TokenVerifier } from './admission-token.ts';
import type { SeatTable } from './seat-table.ts';
import type { Pair } from './seat-table-rows.ts';

/** As much of the seat table as the gate needs. */
export type GateTable = Pick<SeatTable, 'standing' | 'nowMs' | 'settled' | 'refresh' | 'onChange'>;

export interface Judgement {
  readonly verdict: Admission | Refusal;
  /** Judges the same token by what the table says by now. */
  again(): Admission | Refusal;
}

/** Somebody who knocks in a loop has their row read this often at most: 50 small queries a second. */
const refreshGapMs = 20;

/** Who was refused lately; of more than that it is forgotten, and they are read again sooner. */
const refreshesLimit = 10_000;

/** Decides who comes in: a verified token and the table. */
export class GateJudge {
  readonly #verify: TokenVerifier;
  readonly #table: GateTable;
  readonly #failOpen: boolean;
  readonly #settleMs: number;
  /** The last reading of pairs that were to be refused. */
  readonly #refreshes = new Map<string, { readonly beginsAtMs: number; readonly done: Promise<boolean> }>();

  constructor(options: {
    readonly verify: TokenVerifier;
    readonly table: GateTable;
    readonly failOpen: boolean;
    readonly settleMs: number;
  }) {
    this.#verify = options.verify;
    this.#table = options.table;
    this.#failOpen = options.failOpen;
    this.#settleMs = options.settleMs;
  }

  async judge(token: string, purpose: 'enter' | 'leave'): Promise<Judgement> {
    const verified = await this.#verify(token);
    if ('admit' in verified) return { verdict: verified, again: () => verified };
    const again = () =>
      decideAdmission({
        claims: verified.claims,
        table: this.#table,
        nowMs: this.#table.nowMs(),
        failOpen: this.#failOpen,
        purpose,
      });
    const first = again();
    if (!first.admit && first.about !== undefined && (await this.#learn(first.reason, first.about))) {
      return { verdict: again(), again };
    }
    return { verdict: first, again };
  }

  /**
   * Whether there is more to be known than the refusal rests on. A change that was told is worth a moment of waiting. And
   * nobody is refused by a row that may be behind the database by the milliseconds a change takes to get here: whoever
   * was seated or restored this instant comes with a token that says so already.
   */
  async #learn(reason: RefusalReason, { streamId, userId }: Pair): Promise<boolean> {
    if (reason !== 'table_not_current' && reason !== 'no_seat' && reason !== 'banned') return false;
    const { current } = this.#table.standing(streamId, userId);
    if (!current) return this.#table.settled(streamId, userId, this.#settleMs);
    return this.#refresh({ streamId, userId });
  }

  /** Has a pair read, not more often than it may be: one reading that has yet to begin serves everybody who waits. */
  #refresh({ streamId, userId }: Pair): Promise<boolean> {
    const key = `${streamId}:${userId}`;
    const nowMs = performance.now();
    const last = this.#refreshes.get(key);
    if (last !== undefined && last.beginsAtMs > nowMs) return last.done;
    const beginsAtMs = Math.max(nowMs, (last?.beginsAtMs ?? 0) + refreshGapMs);
    const begun = beginsAtMs > nowMs ? sleep(beginsAtMs - nowMs) : Promise.resolve();
    const done = begun.then(() => this.#table.refresh(streamId, userId, this.#settleMs));
    if (this.#refreshes.size >= refreshesLimit) this.#refreshes.clear();
    this.#refreshes.set(key, { beginsAtMs, done });
    return done;
  }

  isBanned({ streamId, userId }: Pair): boolean {
    return isBanned(this.#table.standing(streamId, userId), this.#table.nowMs());
  }
}
