import type { EjectionOutcome } from './ejection.ts';

/** livekit.md §8b: quick at first, since a restart of LiveKit takes 0.1 s, and every half minute for ever after. */
const delaysMs = [200, 500, 1_000, 2_000, 5_000, 10_000] as const;
const slowestMs = 30_000;

/**
 * How long to wait before a failed ejection is tried again.
 * @param failures how often it has failed by now, 1 or more
 */
export function retryDelayMs(outcome: EjectionOutcome, failures: number): number {
  // somebody mends the key or the clock; asking faster mends nothing
  if (outcome.kind === 'failed' && !outcome.failure.retryable) return slowestMs;
  return delaysMs[failures - 1] ?? slowestMs;
}
