import { type Occupant, userOfIdentity } from '../../target/livekit/admin.ts';
import type { Evictee } from '../ejection.ts';
import type { PendingEjection, SeatFact } from './guard-store.ts';
import { isTripwire } from './tripwire-mark.ts';

/** As the database writes the ids of users and streams. An identity of another form is none of the app's users. */
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether this is the id of a user or a stream, as the database writes it. */
export function isUserId(text: string): boolean {
  return uuidPattern.test(text);
}

/** The app's users among those in a room, by id; what the server itself or another system sent is left out. */
export function usersOf(occupants: readonly Occupant[]): Map<string, Occupant[]> {
  const people = occupants.filter((occupant) => occupant.isPerson && !isTripwire(occupant));
  const users = Map.groupBy(people, ({ identity }) => userOfIdentity(identity));
  for (const userId of users.keys()) if (!isUserId(userId)) users.delete(userId);
  return users;
}

/**
 * Who of a room has to go or be silenced, presence and permission against the rows. The facts must have been read
 * after the occupants: whoever was given a seat and then joined is then seen with it.
 */
export function judgeRoom(occupants: readonly Occupant[], facts: readonly SeatFact[]): Evictee[] {
  const factOf = new Map(facts.map((fact) => [fact.userId, fact]));
  return [...usersOf(occupants)].flatMap(([userId, sessions]) => {
    const publishes = sessions.some(({ canPublish, canPublishData }) => canPublish || canPublishData);
    return judgeUser(userId, factOf.get(userId), publishes) ?? [];
  });
}

/** What has to happen to a user who is in the room; null when they may be there as they are. */
export function judgeUser(userId: string, fact: SeatFact | undefined, publishes: boolean): Evictee | null {
  if (fact?.ban) return { userId, mayWatch: false };
  if (!publishes) return null;
  const seat = fact?.seat;
  if (seat?.state === 'active') {
    return seat.canPublish ? null : { userId, mayWatch: true, measure: 'silence' };
  }
  // a seat that was lost takes its sessions along; somebody who never had one is a viewer with too much in the token
  return { userId, mayWatch: true, measure: seat ? 'remove' : 'silence' };
}

/** What a row of the outbox asks for by now; null when its user was restored or seated again since. */
export function judgePending(row: PendingEjection): Evictee | null {
  const { userId } = row;
  if (row.banned) return { userId, mayWatch: false };
  if (row.mayPublish) return null;
  return { userId, mayWatch: true, measure: row.cause === 'downgraded' ? 'silence' : 'remove' };
}

/** The stricter of two judgements of one user: out before silent, everything before what publishes. */
export function stricter(one: Evictee | undefined, other: Evictee): Evictee {
  if (one === undefined) return other;
  const rank = ({ mayWatch, measure }: Evictee) => (mayWatch ? (measure === 'silence' ? 0 : 1) : 2);
  return rank(one) >= rank(other) ? one : other;
}
