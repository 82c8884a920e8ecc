import { notRun } from '../../record/measurement.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { readThresholds } from '../verdict.ts';
import { seatPlaceOf } from './place.ts';
import { measureStorm } from './storm.ts';
import { stormId, stormMeasurement, stormMetrics, stormTitle } from './storm-findings.ts';

export interface StormProbePlan extends LoadPlan {
  /** Participants with a media connection, beside the plan's `users`. */
  readonly active: number;
}

/**
 * Fills rooms with the plan's `users` at `ratePerS`, holds them for `durationMs` while single seats are revoked, then
 * revokes half of the rest at once (`seat.storm`). Something must carry revocations out while it runs.
 */
export async function runStormProbe(context: ProbeContext, plan: StormProbePlan): Promise<ProbeResult> {
  // a threshold that cannot be read is told before anybody joins
  readThresholds(stormMetrics, [], plan.thresholds);
  const place = await seatPlaceOf(context);
  if (typeof place === 'string') return { measurements: [notRun(stormId, stormTitle, 'ms', place)] };
  const { users, active, ratePerS, durationMs: holdMs } = plan;
  const found = await measureStorm(context, place, { users, active, ratePerS, holdMs });
  return { measurements: [stormMeasurement(found, plan.thresholds)] };
}
