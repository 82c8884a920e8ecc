import type { ArrivalModel } from './arrivals.ts';

/** Equal gaps: arrival i is due at i / rate. */
export function constantArrivals(ratePerS: number): ArrivalModel {
  if (!(ratePerS > 0)) throw new RangeError(`an arrival rate must be positive, not ${ratePerS}`);
  const gapMs = 1000 / ratePerS;
  return {
    description: `constant ${ratePerS}/s`,
    peakRatePerS: ratePerS,
    dueMs: (index) => index * gapMs,
    // the product, not the quotient by the gap, so that 100/s over 1 s is 100 and not 99.999… rounded
    countWithin: (durationMs) => Math.max(0, Math.ceil((durationMs * ratePerS) / 1000 - 1e-9)),
  };
}
