import { TrollfixError } from '../../kernel/errors.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { openSeatCohort } from '../seat-cohort.ts';
import { readThresholds } from '../verdict.ts';
import { ejectionPlan, measureEjection } from './ejection.ts';
import { ejectionMeasurement, readmissionMeasurement, seatIds, seatMetrics, seatTitles } from './findings.ts';
import { seatPlaceOf } from './place.ts';
import { measureReadmission } from './readmission.ts';
import type { Stage } from './victims.ts';

export interface SeatPlan extends LoadPlan {
  /** k6 thresholds over `seat_ejection`, `seat_missed`, `seat_doors_open`, `seat_tokens_for_banned`. */
  readonly thresholds?: readonly string[];
  /** Users that try each way back; 1 by default: a door opens for all or for none. */
  readonly readmissionVictims?: number;
  /** Victims that are really ACTIVE; 2 by default. */
  readonly active?: number;
}

/** ACTIVE victims of a probe: a second says whether the first was luck, and each costs a third of a second. */
const activeVictims = 2;

/**
 * Grants seats, joins LiveKit with tokens from the app's own endpoint, revokes, and takes the time until each is told
 * to leave (`seat.ejection`); then has users who lost their seats try every known way back (`seat.readmission`).
 * The plan's `users` are the victims: one after the other, or at `ratePerS` for `durationMs` where that is given.
 * Something must carry revocations out while it runs (the seat enforcer): the probe only looks.
 */
export async function runSeatProbe(context: ProbeContext, plan: SeatPlan): Promise<ProbeResult> {
  // a threshold that cannot be read is told before anybody is banned
  readThresholds(seatMetrics, [], plan.thresholds);
  const place = await seatPlaceOf(context);
  if (typeof place === 'string') return notRunResult(place);
  const { livekit } = place;
  const ejections = ejectionPlan(plan, plan.active ?? activeVictims);
  const cohort = await openSeatCohort(context, { users: ejections.total, streams: 1, name: 'seat' });
  const [streamId] = cohort.streams;
  if (streamId === undefined) throw new Error('the synthetic run has no stream');
  const stage: Stage = { cohort, streamId, ...place };
  try {
    const ejection = await measureEjection(context, stage, ejections);
    const measurements: Measurement[] = [ejectionMeasurement(ejection, plan.thresholds)];
    if (ejection.ejected === 0) {
      measurements.push(notRunReadmission('nobody was ejected, so nobody could try to come back'));
    } else {
      const { readmissionVictims: victims = 1 } = plan;
      // two minutes of waiting are `seat verify`'s
      const findings = await measureReadmission(context, place, { victims, pastLeeway: false });
      measurements.push(readmissionMeasurement(findings, plan.thresholds));
    }
    return { measurements };
  } finally {
    // the room would outlive its stream; that it cannot be closed any more changes no finding
    await liveKitAdmin(livekit)
      .deleteRoom(streamId)
      .catch((error: unknown) => {
        if (!(error instanceof TrollfixError)) throw error;
        context.log.warn('seat probe: the room was left behind', { error: error.message });
      });
    await cohort.close();
  }
}

function notRunResult(reason: string): ProbeResult {
  return {
    measurements: [notRun(seatIds.ejection, seatTitles.ejection, 'ms', reason), notRunReadmission(reason)],
  };
}

function notRunReadmission(reason: string): Measurement {
  return notRun(seatIds.readmission, seatTitles.readmission, 'doors open', reason);
}
