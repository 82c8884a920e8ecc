import { mapBounded } from '../kernel/bounded-map.ts';
import type { Clock } from '../kernel/clock.ts';
import { sleep } from '../kernel/clock.ts';
import { isIdentityOf, type LiveKitAdmin, type Occupant } from '../target/livekit/admin.ts';
import { LiveKitError, type LiveKitFailure } from '../target/livekit/livekit-error.ts';
import { isTripwire } from './guard/tripwire-mark.ts';

/** Somebody to be taken out of a room, or silenced in it. */
export interface Evictee {
  readonly userId: string;
  /** A seat that ran out leaves its user the right to watch: only sessions that may publish have to go. */
  readonly mayWatch: boolean;
  /** A downgraded seat is still one: its holder's sessions stay and lose the right to publish. `remove` by default. */
  readonly measure?: 'remove' | 'silence';
}

/** What became of one evictee. Times are `clock.monotonicMs()`. */
export type EjectionOutcome =
  | {
      readonly kind: 'clean';
      /** Identities that were removed or silenced: the id and its aliases; empty when nobody was in the room. */
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

/**
 * Removals in flight. 200 at once took LiveKit 380 ms at 8, 280 at 16, 210 at 32, 190 at 64 (last one out, median of
 * four, two busy cores): beyond 32 each call only waits longer, and comes closer to its deadline of 2 s.
 */
const concurrency = 32;

/**
 * Takes users and all their aliases out of one room, or silences them, and makes sure by listing it. Never throws for
 * LiveKit: what fails comes back as `failed`, for everybody who is not out yet. A call that LiveKit answered in a way
 * nobody expected counts for nothing: the listing says what it did.
 */
export async function ejectFromRoom(
  admin: LiveKitAdmin,
  room: string,
  evictees: readonly Evictee[],
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Map<string, EjectionOutcome>> {
  const work = new RoomEjection(admin, room, evictees, options);
  await work.run();
  return work.outcomes;
}

interface Target {
  readonly evictee: Evictee;
  readonly identity: string;
}

class RoomEjection {
  readonly outcomes = new Map<string, EjectionOutcome>();
  readonly #admin: LiveKitAdmin;
  readonly #room: string;
  readonly #options: { readonly clock: Clock; readonly signal: AbortSignal };
  readonly #removed: Map<string, Set<string>>;
  /** Answers that say neither yes nor no, by user. */
  readonly #odd = new Map<string, LiveKitFailure>();
  #pending: Evictee[];
  #confirmedAtMs: number;

  constructor(
    admin: LiveKitAdmin,
    room: string,
    evictees: readonly Evictee[],
    options: { readonly clock: Clock; readonly signal: AbortSignal },
  ) {
    this.#admin = admin;
    this.#room = room;
    this.#options = options;
    this.#removed = new Map(evictees.map(({ userId }) => [userId, new Set()]));
    this.#pending = [...evictees];
    this.#confirmedAtMs = options.clock.monotonicMs();
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    // whoever may not even watch is removed by name first: the answer to a listing would cost its time
    let targets: Target[] = this.#pending
      .filter(({ mayWatch }) => !mayWatch)
      .map((evictee) => ({ evictee, identity: evictee.userId }));
    try {
      for (let round = 1; this.#pending.length > 0; round++) {
        signal.throwIfAborted();
        await mapBounded(targets, concurrency, (target) => this.#act(target));
        if (targets.length > 0) this.#confirmedAtMs = this.#options.clock.monotonicMs();
        targets = this.#judge(await this.#admin.occupants(this.#room), round);
        if (this.#pending.length > 0 && round > 1) await sleep(roundPauseMs, signal);
      }
    } catch (error) {
      if (!(error instanceof LiveKitError)) throw error;
      for (const { userId } of this.#pending) {
        this.outcomes.set(userId, { kind: 'failed', failure: error.failure });
      }
    }
  }

  async #act({ evictee, identity }: Target): Promise<void> {
    const { userId, measure } = evictee;
    try {
      const answer =
        measure === 'silence'
          ? await this.#admin.silence(this.#room, identity)
          : await this.#admin.remove(this.#room, identity);
      if (answer !== 'absent') this.#removed.get(userId)?.add(identity);
      this.#odd.delete(userId);
    } catch (error) {
      if (!(error instanceof LiveKitError) || error.failure.kind !== 'refused') throw error;
      this.#odd.set(userId, error.failure);
    }
  }

  /** Settles who is out by this listing; gives what has to go in the next round. */
  #judge(occupants: readonly Occupant[], round: number): Target[] {
    const cleanAtMs = this.#options.clock.monotonicMs();
    const targets: Target[] = [];
    for (const evictee of this.#pending) {
      const { userId } = evictee;
      const there = occupants.filter((occupant) => offends(occupant, evictee)).map((o) => o.identity);
      const removed = [...(this.#removed.get(userId) ?? [])];
      const odd = this.#odd.get(userId);
      if (there.length === 0) {
        this.outcomes.set(userId, { kind: 'clean', removed, confirmedAtMs: this.#confirmedAtMs, cleanAtMs });
      } else if (odd !== undefined) {
        this.outcomes.set(userId, { kind: 'failed', failure: odd });
      } else if (round === roundsLimit) {
        this.outcomes.set(userId, { kind: 'returns', removed, stillThere: there });
      }
      targets.push(...there.map((identity) => ({ evictee, identity })));
    }
    this.#pending = this.#pending.filter(({ userId }) => !this.outcomes.has(userId));
    return targets.filter(({ evictee }) => this.#pending.includes(evictee));
  }
}

function offends(occupant: Occupant, { userId, mayWatch }: Evictee): boolean {
  if (!isIdentityOf(occupant.identity, userId) || isTripwire(occupant)) return false;
  return !mayWatch || occupant.canPublish || occupant.canPublishData;
}

/** Why an ejection is not done, for the outbox; null when it is. Without an outcome there was no LiveKit to ask. */
export function problemOf(outcome: EjectionOutcome | null): string | null {
  switch (outcome?.kind) {
    case 'clean':
      return null;
    case 'failed':
      return `LiveKit: ${outcome.failure.kind}: ${outcome.failure.message}`;
    case 'returns':
      return `comes back: ${outcome.stillThere.join(', ')}`;
    case undefined:
      return 'the target has no LiveKit';
  }
}
