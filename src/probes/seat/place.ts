import { TrollfixError } from '../../kernel/errors.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { ProbeContext } from '../probe.ts';
import { missingForCohort } from '../seat-cohort.ts';
import type { Stage } from './victims.ts';

/** What seats are tried on: LiveKit, with the gate's address if there is one, and who gives tokens. */
export type SeatPlace = Pick<Stage, 'livekit' | 'tokenEndpoint'>;

/** Where seats of this target can be tried, or in words what is missing for it and what to do. */
export async function seatPlaceOf(context: ProbeContext): Promise<SeatPlace | string> {
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
