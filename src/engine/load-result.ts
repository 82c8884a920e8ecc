import type { GeneratorHealth } from './generator-health.ts';
import type { LatencyHistogram } from './latency-histogram.ts';

/** Every arrival that was due ends in exactly one of these: offered = ok + rejected + errors + timeouts + unfinished + unsent. */
export interface LoadCounts {
  /** Arrivals due within the run (until the interruption, when there was one). */
  readonly offered: number;
  /** Operations begun. */
  readonly sent: number;
  readonly ok: number;
  /** Answered with a refusal: rate limits, policy, validation. */
  readonly rejected: number;
  /** Failed otherwise: transport, server errors. */
  readonly errors: number;
  readonly timeouts: number;
  /** Begun, and not answered when the run was interrupted. */
  readonly unfinished: number;
  /** Due, and never begun because too many were waiting for answers. */
  readonly unsent: number;
  /** Answers to operations that had timed out already; not part of the sum. */
  readonly lateAnswers: number;
}

interface LoadLatency {
  /** From the instant it was due: free of coordinated omission, the headline. Timeouts count with the time waited. */
  readonly intendedToAnswer: LatencyHistogram;
  /** From the instant it was sent: the service time. */
  readonly sendToAnswer: LatencyHistogram;
  /** How late the generator was. */
  readonly intendedToSend: LatencyHistogram;
}

export interface LoadResult {
  /** In words: `constant 100/s`. */
  readonly arrivals: string;
  readonly durationMs: number;
  readonly elapsedMs: number;
  readonly counts: LoadCounts;
  /** How many operations ended with which reason, at most 32 reasons and `other`. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly latency: LoadLatency;
  /** Arrivals due per second, after the warm-up. */
  readonly offeredPerS: number;
  /** Operations due after the warm-up that ended ok, per second until the last of them. */
  readonly achievedPerS: number;
  readonly generator: GeneratorHealth;
  readonly interrupted: boolean;
}

/** One second of a run; the rows of a series file. Latencies are those of operations that ended in it. */
export interface IntervalRow {
  /** Seconds from the start to the end of the interval. */
  readonly t: number;
  readonly offered: number;
  readonly sent: number;
  readonly ok: number;
  readonly rejected: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly inFlight: number;
  readonly lagMsP99: number;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
}

/**
 * What a figure of this run may call itself. `complete` is what it is when nothing speaks against it: `estimate`
 * for a throughput at a fixed rate (no bounds were verified), `measured` for a latency with samples.
 */
export function statusOf<T extends string>(
  run: { readonly samples: number; readonly generator: { readonly healthy: boolean } },
  complete: T,
): T | 'no_data' | 'client_limited' {
  if (run.samples === 0) return 'no_data';
  return run.generator.healthy ? complete : 'client_limited';
}
