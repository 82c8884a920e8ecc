import type { ArrivalModel } from './arrivals.ts';

/**
 * The rate moves in a straight line from `fromPerS` to `toPerS` during `rampMs` and stays there.
 * The number of arrivals due by t is the area under the rate, N(t) = r0·t + (r1−r0)·t²/2R; arrival i is due where
 * N(t) = i, so the ramp is exact to the microsecond instead of stepped by the second.
 */
export function rampArrivals(options: { fromPerS: number; toPerS: number; rampMs: number }): ArrivalModel {
  const { fromPerS, toPerS, rampMs } = options;
  if (!(toPerS > 0) || fromPerS < 0 || !(rampMs > 0)) {
    throw new RangeError(
      `a ramp goes from ≥ 0 to > 0 in > 0 ms, not ${fromPerS} → ${toPerS} in ${rampMs} ms`,
    );
  }
  const startPerMs = fromPerS / 1000;
  const endPerMs = toPerS / 1000;
  const slope = (endPerMs - startPerMs) / rampMs;
  const countInRamp = ((startPerMs + endPerMs) / 2) * rampMs;
  const dueMs = (index: number) => {
    if (index >= countInRamp) return rampMs + (index - countInRamp) / endPerMs;
    // the root of the quadratic in the form that does not cancel when the slope is small
    const root = Math.sqrt(startPerMs * startPerMs + 2 * slope * index);
    return index === 0 ? 0 : (2 * index) / (startPerMs + root);
  };
  const areaUntil = (ms: number) =>
    ms <= rampMs ? startPerMs * ms + (slope * ms * ms) / 2 : countInRamp + (ms - rampMs) * endPerMs;
  return {
    description: `ramp ${fromPerS}/s → ${toPerS}/s in ${rampMs} ms, then constant`,
    peakRatePerS: Math.max(fromPerS, toPerS),
    dueMs,
    countWithin: (durationMs) => Math.max(0, Math.ceil(areaUntil(durationMs) - 1e-9)),
  };
}
