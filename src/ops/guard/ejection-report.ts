import type { EjectionOutcome } from '../ejection.ts';

/** One ejection the enforcer carried out, or found still to be carried out. Times are `clock.now()`. */
export interface EjectionReport {
  readonly streamId: string;
  readonly userId: string;
  /** Of the outbox row, or `reconciled` for somebody who was found in a room where or how they may not be. */
  readonly cause: string;
  /** When the outbox row was written, by the database's clock; null for `reconciled`. */
  readonly createdAt: number | null;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly outcome: EjectionOutcome | { readonly kind: 'obsolete' };
}
