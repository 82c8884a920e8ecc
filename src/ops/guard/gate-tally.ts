import type { RefusalReason } from './admission.ts';

/** Why a request did not get through, beside what its token is to blame for. */
export type Obstacle = 'bad_request' | 'overloaded' | 'draining' | 'upstream_down' | 'upstream_slow';

export interface GateStats {
  readonly admitted: number;
  readonly refused: Readonly<Partial<Record<RefusalReason | Obstacle, number>>>;
  /** Admissions being decided or dialled. */
  readonly pending: number;
  /** Sessions that are open. */
  readonly open: number;
  /** Sessions that were cut because of a ban. */
  readonly cut: number;
}

/** What the gate counts. */
export class GateTally {
  admitted = 0;
  pending = 0;
  cut = 0;
  readonly #refused = new Map<RefusalReason | Obstacle, number>();

  refused(reason: RefusalReason | Obstacle): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  stats(open: number): GateStats {
    const { admitted, pending, cut } = this;
    return { admitted, refused: Object.fromEntries(this.#refused), pending, open, cut };
  }
}
