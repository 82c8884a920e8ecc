import type { Occupant } from '../../target/livekit/admin.ts';

/** The attribute in a tripwire's token; its value is the guard that holds it. */
export const tripwireAttribute = 'trollfix.tripwire';

/**
 * Whether this participant is a guard's own tripwire: it bears a banned user's identity and is no user. Attributes come
 * from the token, which takes the API secret to make; and one that may neither watch nor publish does no harm anyway.
 */
export function isTripwire(occupant: Occupant): boolean {
  return tripwireAttribute in occupant.attributes && !occupant.canSubscribe && !occupant.canPublish;
}
