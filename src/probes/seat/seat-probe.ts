import { TrollfixError } from '../../kernel/errors.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { missingForCohort, openSeatCohort } from '../seat-cohort.ts';
import { readThresholds } from '../verdict.ts';
import { ejectionPlan, measureEjection } from './ejection.ts';
import { ejectionMeasurement, readmissionMeasurement, seatIds, seatMetrics, seatTitles } from './findings.ts';
import { measureReadmission, readmissionUsers } from './readmission.ts';
import type { Stage } from './victims.ts';

export interface SeatPlan extends LoadPlan {
  /** k6 thresholds over `seat_ejection`, `seat_missed`, `seat_doors_open`, `seat_tokens_for_banned`. */
  readonly thresholds?: readonly string[];
  /** Victims that try to come back; 3 by default: every door either opens for all or for none. */
  readonly readmissionVictims?: number;
}

const defaultReadmissionVictims = 3;

/**
 * Grants seats, joins LiveKit with tokens from the app's own endpoint, revokes, and takes the time until each is told
 * to leave (`seat.ejection`); then has ejected users try every known way back (`seat.readmission`).
 * The plan's `users` are the victims: one after the other, or at `ratePerS` for `durationMs` where that is given.
 * Something must carry revocations out while it runs (the seat enforcer): the probe only looks.
 */
export async function runSeatProbe(context: ProbeContext, plan: SeatPlan): Promise<ProbeResult> {
  // a threshold that cannot be read is told before anybody is banned
  readThresholds(seatMetrics, [], plan.thresholds);
  const missing = await missingFor(context);
  if (typeof missing === 'string') return notRunResult(missing);
  const { livekit, tokenEndpoint } = missing;
  const ejections = ejectionPlan(plan);
  const knockers = readmissionUsers(plan.readmissionVictims ?? defaultReadmissionVictims);
  const cohort = await openSeatCohort(context, {
    users: ejections.total + knockers,
    streams: 1,
    name: 'seat',
  });
  const [streamId] = cohort.streams;
  if (streamId === undefined) throw new Error('the synthetic run has no stream');
  const stage: Stage = { cohort, streamId, livekit, tokenEndpoint };
  try {
    const ejection = await measureEjection(context, stage, ejections);
    const measurements: Measurement[] = [ejectionMeasurement(ejection, plan.thresholds)];
    if (ejection.ejected === 0) {
      measurements.push(notRunReadmission('nobody was ejected, so nobody could try to come back'));
    } else {
      const findings = await measureReadmission(context, stage, cohort.users.slice(ejections.total));
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

async function missingFor(context: ProbeContext): Promise<string | Pick<Stage, 'livekit' | 'tokenEndpoint'>> {
  const { livekit, tokenEndpoint } = context.target;
  if (livekit === undefined) {
    return 'the target has no LiveKit: set TROLLFIX_LIVEKIT_BIN or put livekit-server on PATH, then `trollfix up --detach`';
  }
  if (tokenEndpoint === undefined) {
    return 'the target has no tokenEndpoint: set TOKEN_ENDPOINT, or tokenEndpoint in trollfix.yaml';
  }
  const cohort = missingForCohort(context);
  if (cohort !== null) return cohort;
  try {
    await liveKitAdmin(livekit).occupants('trollfix-reachable');
  } catch (error) {
    if (error instanceof TrollfixError && error.code === 'TF-LK-001') {
      return `${error.message}: start it, \`trollfix up --detach\``;
    }
    throw error;
  }
  return { livekit, tokenEndpoint };
}

function notRunResult(reason: string): ProbeResult {
  return {
    measurements: [notRun(seatIds.ejection, seatTitles.ejection, 'ms', reason), notRunReadmission(reason)],
  };
}

function notRunReadmission(reason: string): Measurement {
  return notRun(seatIds.readmission, seatTitles.readmission, 'doors open', reason);
}
