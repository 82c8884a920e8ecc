import { type Admission, decideAdmission, isBanned, type Refusal } from './admission.ts';
import type { TokenVerifier } from './admission-token.ts';
import type { SeatTable } from './seat-table.ts';
import type { Pair } from './seat-table-rows.ts';

/** As much of the seat table as the gate needs. */
export type GateTable = Pick<SeatTable, 'standing' | 'nowMs' | 'settled' | 'onChange'>;

export interface Judgement {
  readonly verdict: Admission | Refusal;
  /** Judges the same token by what the table says by now. */
  again(): Admission | Refusal;
}

/** Decides who comes in: a verified token and the table. */
export class GateJudge {
  readonly #verify: TokenVerifier;
  readonly #table: GateTable;
  readonly #failOpen: boolean;
  readonly #settleMs: number;

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
    // told of a change that is not read yet: worth a moment. Any other lack of the table may last
    const waits = !first.admit && first.reason === 'table_not_current';
    if (waits && first.about !== undefined) {
      await this.#table.settled(first.about.streamId, first.about.userId, this.#settleMs);
      return { verdict: again(), again };
    }
    return { verdict: first, again };
  }

  isBanned({ streamId, userId }: Pair): boolean {
    return isBanned(this.#table.standing(streamId, userId), this.#table.nowMs());
  }
}
