/**
 * When operations are due. Everything is computed from the index of the arrival, so a schedule has no state that
 * could drift, and worker k of W simply takes the arrivals i ≡ k (mod W).
 */
export interface ArrivalModel {
  /** In words, for the report: `constant 100/s`. */
  readonly description: string;
  /** Milliseconds from the start of the run at which arrival `index` (0, 1, 2 …) is due. Never decreases. */
  dueMs(index: number): number;
  /** How many arrivals are due before `durationMs`. */
  countWithin(durationMs: number): number;
  /** The highest rate it ever asks for; bounds are sized from it. */
  readonly peakRatePerS: number;
}
