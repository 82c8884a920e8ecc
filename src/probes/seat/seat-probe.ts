import { TrollfixError } from '../../kernel/errors.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { openSeatCohort } from '../seat-cohort.ts';
import { readThresholds } from '../verdict.ts';
import { ejectionPlan, measureEjection } from './ejection.ts';
import { ejectionMeasurement, readmissionMeasurement, seatIds, seatMetrics, seatTitles } from './findings.ts';
import { type SeatPlace, seatPlaceOf } from './place.ts';
import { measureReadmission } from './readmission.ts';
import { measureStorm } from './storm.ts';
import { isStormThreshold, stormId, stormMeasurement, stormMetrics, stormTitle } from './storm-findings.ts';
import type { Stage } from './victims.ts';

export interface SeatPlan extends LoadPlan {
  /** k6 thresholds over `seat_ejection`, `seat_missed`, `seat_doors_open`, `seat_tokens_for_banned`. */
  readonly thresholds?: readonly string[];
  /** Users that try each way back; 1 by default: a door opens for all or for none. */
  readonly readmissionVictims?: number;
  /** Participants that are really ACTIVE; 2 by default, and none where media does not get through. */
  readonly active?: number;
  /**
   * Also holds a crowd of `users` in the rooms for `durationMs`, joined at `ratePerS`, and revokes half of it
   * (`seat.storm`); those who are revoked in peace are then fewer.
   */
  readonly storm?: boolean;
}

/** ACTIVE victims of a probe: a second says whether the first was luck, and each costs a third of a second. */
const activeVictims = 2;

/** Beside a storm those revoked in peace are only what it is compared with. */
const peacefulVictims = 40;

/**
 * Grants seats, joins LiveKit with tokens from the app's own endpoint, revokes, and takes the time until each is told
 * to leave (`seat.ejection`); then has users who lost their seats try every known way back (`seat.readmission`).
 * The plan's `users` are the victims: one after the other, or at `ratePerS` for `durationMs` where that is given.
 * Something must carry revocations out while it runs (the seat enforcer): the probe only looks.
 */
export async function runSeatProbe(context: ProbeContext, plan: SeatPlan): Promise<ProbeResult> {
  // a threshold that cannot be read is told before anybody is banned
  const { thresholds: asked = [], active = activeVictims } = plan;
  readThresholds({ ...seatMetrics, ...stormMetrics }, [], asked);
  const thresholds = asked.filter((text) => !isStormThreshold(text));
  const place = await seatPlaceOf(context);
  if (typeof place === 'string') return notRunResult(place, plan);
  const { livekit } = place;
  const peaceful = { ...plan, users: Math.min(plan.users, peacefulVictims), durationMs: 0 };
  const ejections = ejectionPlan(plan.storm ? peaceful : plan, active);
  const cohort = await openSeatCohort(context, { users: ejections.total, streams: 1, name: 'seat' });
  const [streamId] = cohort.streams;
  if (streamId === undefined) throw new Error('the synthetic run has no stream');
  const stage: Stage = { cohort, streamId, ...place };
  try {
    const ejection = await measureEjection(context, stage, ejections);
    const measurements: Measurement[] = [ejectionMeasurement(ejection, thresholds)];
    if (ejection.ejected === 0) {
      measurements.push(notRunReadmission('nobody was ejected, so nobody could try to come back'));
    } else {
      const { readmissionVictims: victims = 1 } = plan;
      // two minutes of waiting are `seat verify`'s
      const findings = await measureReadmission(context, place, { victims, pastLeeway: false });
      measurements.push(readmissionMeasurement(findings, thresholds));
    }
    if (plan.storm) measurements.push(await stormOf(context, place, plan, ejection.ejected > 0));
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

async function stormOf(
  context: ProbeContext,
  place: SeatPlace,
  plan: SeatPlan,
  isEnforced: boolean,
): Promise<Measurement> {
  if (!isEnforced) {
    return notRun(stormId, stormTitle, 'ms', 'nobody was ejected, so nobody would be in a storm either');
  }
  const { users, active = activeVictims, ratePerS, durationMs: holdMs } = plan;
  const found = await measureStorm(context, place, { users, active, ratePerS, holdMs });
  return stormMeasurement(found, (plan.thresholds ?? []).filter(isStormThreshold));
}

function notRunResult(reason: string, plan: SeatPlan): ProbeResult {
  return {
    measurements: [
      notRun(seatIds.ejection, seatTitles.ejection, 'ms', reason),
      notRunReadmission(reason),
      ...(plan.storm ? [notRun(stormId, stormTitle, 'ms', reason)] : []),
    ],
  };
}

function notRunReadmission(reason: string): Measurement {
  return notRun(seatIds.readmission, seatTitles.readmission, 'doors open', reason);
}
