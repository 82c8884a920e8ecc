import { mapBounded } from '../kernel/bounded-map.ts';
import type { Clock } from '../kernel/clock.ts';
import { sleep } from '../kernel/clock.ts';
import { isIdentityOf, type LiveKitAdmin, type Occupant } from '../target/livekit/admin.ts';
import { LiveKitError, type LiveKitFailure } from '../target/livekit/livekit-error.ts';

/** Somebody to be taken out of a room. */
export interface Evictee {
  readonly userId: string;
  /** A seat that ran out leaves its user the right to watch: only sessions that may publish have to go. */
  readonly mayWatch: boolean;
}

/** What became of one evictee. Times are `clock.monotonicMs()`. */
export type EjectionOutcome =
  | {
      readonly kind: 'clean';
      /** Identities that were removed: the id and its aliases; empty when nobody was in the room. */
      readonly removed: readonly string[];
      /** When LiveKit had confirmed the last removal. */
      readonly confirmedAtMs: number;
      /** When the room was listed without them. */
      readonly cleanAtMs: number;
    }
  /** Removed as often as is reasonable, and back in the room each time: a client with a token that still opens. */
  | { readonly kind: 'returns'; readonly removed: readonly string[]; readonly stillThere: readonly string[] }
  | { readonly kind: 'failed'; readonly failure: LiveKitFailure };

/** A cooperative client is out after the first round, an alias after the second; whoever is back after four comes back for ever. */
const roundsLimit = 4;

/** LiveKit lists a room without the removed at once; the pause only keeps a returning client from being a busy loop. */
const roundPauseMs = 25;

/** Removals in flight: beyond 8 LiveKit's per-room queue only makes each slower (p95 9 → 227 ms at 20, measured). */
const concurrency = 8;

/**
 * Takes users and all their aliases out of one room and makes sure by listing it. Never throws for LiveKit:
 * what fails comes back as `failed`, for everybody who is not out yet.
 */
export async function ejectFromRoom(
  admin: LiveKitAdmin,
  room: string,
  evictees: readonly Evictee[],
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Map<string, EjectionOutcome>> {
  const outcomes = new Map<string, EjectionOutcome>();
  const removed = new Map<string, Set<string>>(evictees.map(({ userId }) => [userId, new Set()]));
  let confirmedAtMs = options.clock.monotonicMs();
  let pending = [...evictees];
  // whoever may not even watch is removed by name first: the answer to a listing would cost its time
  let targets = pending
    .filter(({ mayWatch }) => !mayWatch)
    .map(({ userId }) => ({ userId, identity: userId }));
  try {
    for (let round = 1; pending.length > 0; round++) {
      options.signal.throwIfAborted();
      await mapBounded(targets, concurrency, async ({ userId, identity }) => {
        if ((await admin.remove(room, identity)) === 'removed') removed.get(userId)?.add(identity);
      });
      if (targets.length > 0) confirmedAtMs = options.clock.monotonicMs();
      const occupants = await admin.occupants(room);
      const cleanAtMs = options.clock.monotonicMs();
      targets = [];
      for (const evictee of pending) {
        const there = occupants.filter((occupant) => mustGo(occupant, evictee)).map((o) => o.identity);
        targets.push(...there.map((identity) => ({ userId: evictee.userId, identity })));
        const names = [...(removed.get(evictee.userId) ?? [])];
        if (there.length === 0) {
          outcomes.set(evictee.userId, { kind: 'clean', removed: names, confirmedAtMs, cleanAtMs });
        } else if (round === roundsLimit) {
          outcomes.set(evictee.userId, { kind: 'returns', removed: names, stillThere: there });
        }
      }
      pending = pending.filter(({ userId }) => !outcomes.has(userId));
      if (pending.length > 0 && round > 1) await sleep(roundPauseMs, options.signal);
    }
  } catch (error) {
    if (!(error instanceof LiveKitError)) throw error;
    for (const { userId } of pending) outcomes.set(userId, { kind: 'failed', failure: error.failure });
  }
  return outcomes;
}

function mustGo(occupant: Occupant, { userId, mayWatch }: Evictee): boolean {
  return isIdentityOf(occupant.identity, userId) && !(mayWatch && !occupant.canPublish);
}
