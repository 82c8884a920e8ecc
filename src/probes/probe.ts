import type pg from 'pg';
import type { Target } from '../config/target.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Logger, Progress } from '../kernel/log.ts';
import type { SeededRandom } from '../kernel/random.ts';
import type { Measurement } from '../record/measurement.ts';

/** What every probe is handed: its I/O, time, randomness and the signal that ends it. */
export interface ProbeContext {
  readonly target: Target;
  /** A pool as the database's owner, or undefined where the target has no databaseUrl. */
  readonly database: pg.Pool | undefined;
  /** Stands on every synthetic row the probe writes. */
  readonly runId: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly progress: Progress;
  /** Writes a line of a series or history into `<run folder>/<name>`; the file becomes an artifact of the run. */
  readonly series: (fileName: string, row: Record<string, unknown>) => void;
}

/** How much of it, in the words of the command line. A probe documents what it does with each. */
export interface LoadPlan {
  /** Intended operations per second, open-loop. */
  readonly ratePerS: number;
  readonly durationMs: number;
  readonly rampMs: number;
  readonly users: number;
  readonly connections: number;
  readonly workers: number;
  /** Thresholds in k6's grammar over the probe's metrics, judged beside its own. @throws TF-LOAD-003 before it starts */
  readonly thresholds?: readonly string[];
}

export interface ProbeResult {
  readonly measurements: readonly Measurement[];
}
