import type { ArrivalModel } from '../engine/arrivals.ts';
import { constantArrivals } from '../engine/constant-arrivals.ts';
import { rampArrivals } from '../engine/ramp-arrivals.ts';
import type { LoadPlan } from './probe.ts';

/** The ramp of a plan comes before its duration: the figures describe the `durationMs` after it. */
export function planSchedule(plan: Pick<LoadPlan, 'ratePerS' | 'durationMs' | 'rampMs'>): {
  readonly arrivals: ArrivalModel;
  readonly durationMs: number;
  readonly warmupMs: number;
} {
  const { ratePerS, durationMs, rampMs } = plan;
  const arrivals =
    rampMs > 0 ? rampArrivals({ fromPerS: 0, toPerS: ratePerS, rampMs }) : constantArrivals(ratePerS);
  return { arrivals, durationMs: rampMs + durationMs, warmupMs: rampMs };
}
