import type pg from 'pg';
import type { Target } from '../config/target.ts';
import type { Clock } from '../kernel/clock.ts';

export type CheckStatus = 'ok' | 'warn' | 'fail' | 'skip';

/** One answer of the doctor. */
export interface DoctorCheck {
  /** `database.reachable`: stable, for scripts. */
  readonly id: string;
  readonly title: string;
  readonly status: CheckStatus;
  readonly detail: string;
  /** A command that can be run, or null where nothing needs fixing. */
  readonly fix: string | null;
}

export interface DoctorContext {
  readonly target: Target;
  /** undefined where the target has no databaseUrl. */
  readonly database: pg.Pool | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Finding {
  readonly status: CheckStatus;
  readonly detail: string;
  readonly fix?: string;
}

/** A check as data; `needs` names one that must not have failed, or this one is skipped. */
export interface CheckDefinition {
  readonly id: string;
  readonly title: string;
  readonly needs?: string;
  readonly run: (context: DoctorContext) => Promise<Finding> | Finding;
}
