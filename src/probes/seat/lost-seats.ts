import { sleep } from '../../kernel/clock.ts';
import { LiveKitError } from '../../target/livekit/livekit-error.ts';
import {
  type Departure,
  enterRoom,
  type SignalParticipant,
} from '../../target/livekit/signal-participant.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import type { RoomWitness } from './room-witness.ts';
import {
  awaitEjection,
  HolderTurnedAway,
  harvestRefreshToken,
  type Stage,
  seatVictims,
  type Victim,
} from './victims.ts';

/** How somebody can lose a seat. */
export const situationNames = ['banned', 'downgraded', 'expired'] as const;
export type SituationName = (typeof situationNames)[number];

/** Whether its loser may still come in as a viewer: then only being able to publish is a way back. */
export const mayWatch: Readonly<Record<SituationName, boolean>> = {
  banned: false,
  downgraded: true,
  expired: true,
};

/** Which token was shown at a door. Not called `token`: whatever stands under that name is taken for a secret. */
export type Credential = 'original' | 'refreshed' | 'alias' | 'new';

/** What became of the session that the seat's holder was in when it was lost. */
export interface SessionEnd {
  /** CLOSED: ended, or with the right to publish gone. OPEN: still there as if nothing had been. */
  readonly verdict: 'CLOSED' | 'OPEN' | 'UNKNOWN';
  readonly said: string;
  /** From the loss (COMMIT sent, or the seat's end) to the `leave`, or to the listing that shows it. */
  readonly endedMs: number | null;
}

/** Somebody who has lost a seat, with everything they could still use to get back. */
export interface LostSeat {
  readonly user: SyntheticUser;
  readonly keys: Readonly<Partial<Record<Credential, string>>>;
  /** Of the session they had. */
  readonly sid: string;
  readonly session: SessionEnd;
  /** How often they were refused while they had the seat, before they were let in. */
  readonly refusals: number;
  /** Closes what is still open of it. */
  readonly close: () => Promise<void>;
}

const lookEveryMs = 50;

/** Who loses a seat, how, and how long whoever enforces that may take. */
interface Loss {
  readonly situation: SituationName;
  readonly users: readonly SyntheticUser[];
  /** Of these users a second session is opened, under an alias. */
  readonly aliased: ReadonlySet<string>;
  readonly witness: RoomWitness;
  readonly patienceMs: number;
  /** Somebody in the same room, by the same entry, who keeps their seat. */
  readonly bystander: SignalParticipant;
}

interface Holder extends Victim {
  readonly keys: LostSeat['keys'];
  readonly alias: SignalParticipant | null;
}

/**
 * Gives seats to users, has them join and take every token there is to take, and takes the seats away. Whoever is still
 * in after that is put out by hand, so that every door is tried by somebody who is not in.
 * @throws HolderTurnedAway when somebody with a seat could not get in
 */
export async function loseSeats(context: ProbeContext, stage: Stage, loss: Loss): Promise<LostSeat[]> {
  const victims = await seatVictims(context, stage, loss.users);
  const holders = await Promise.all(
    victims.map((victim) => holderOf(context, stage, victim, loss.aliased.has(victim.user.id))),
  );
  const ends = await endSessions(context, stage, loss, holders);
  return Promise.all(
    holders.map(async (holder, index): Promise<LostSeat> => {
      const session = ends[index];
      if (session === undefined) throw new Error('a session has no end');
      const close = async () => {
        await Promise.all([holder.participant.close(), holder.alias?.close()]);
      };
      if (session.verdict !== 'CLOSED' || !mayWatch[loss.situation]) {
        await close();
        await loss.witness.clear(holder.user.id).catch(ignoreBlindness);
      }
      const { user, keys, refusals, participant } = holder;
      return { user, keys, sid: participant.sid, session, refusals, close };
    }),
  );
}

/** A seat's holder with their tokens: the one they joined with, and those that LiveKit signed for their sessions. */
export async function holderOf(
  context: ProbeContext,
  stage: Stage,
  victim: Victim,
  aliased: boolean,
): Promise<Holder> {
  const refreshed = await harvestRefreshToken(context, victim.participant);
  const alias = aliased ? await joinAsAlias(context, stage, victim.token) : null;
  const aliasToken = alias === null ? null : await harvestRefreshToken(context, alias);
  return {
    ...victim,
    alias,
    keys: {
      original: victim.token,
      ...(refreshed === null ? {} : { refreshed }),
      ...(aliasToken === null ? {} : { alias: aliasToken }),
    },
  };
}

async function joinAsAlias(context: ProbeContext, stage: Stage, token: string): Promise<SignalParticipant> {
  const door = { path: '/rtc', publishAlias: 'other' } as const;
  const outcome = await enterRoom({ url: stage.livekit.url, token, door, clock: context.clock });
  if (outcome.kind !== 'joined') {
    throw new HolderTurnedAway(`a seat holder could not join under an alias: ${outcome.kind}`);
  }
  return outcome.participant;
}

/** Takes the seats away and waits until it shows in the room; one end for each holder, in their order. */
async function endSessions(
  context: ProbeContext,
  stage: Stage,
  { situation, witness, patienceMs, bystander }: Loss,
  holders: readonly Holder[],
): Promise<SessionEnd[]> {
  const { cohort, streamId } = stage;
  const ids = holders.map(({ user }) => user.id);
  if (situation === 'banned') {
    const left = holders.map(({ participant }) => awaitEjection(participant, patienceMs));
    const { commitSentAtMs } = await cohort.revoke(streamId, ids);
    return Promise.all(
      left.map(async (waiting, index) => {
        const looking = untilHarmless(context, { witness, patienceMs }, ids[index] ?? '', false);
        const [verdict, out] = await Promise.all([waiting, looking]);
        if (typeof out === 'string') return { verdict: 'UNKNOWN', said: out, endedMs: null };
        if (!out.harmless) {
          return { verdict: 'OPEN', said: `still in after ${patienceMs} ms`, endedMs: null };
        }
        if (verdict.ejected) {
          return { verdict: 'CLOSED', said: 'removed', endedMs: verdict.atMs - commitSentAtMs };
        }
        return cutOff(verdict.why, out.atMs - commitSentAtMs, await departureOf(bystander));
      }),
    );
  }
  if (situation === 'downgraded') await cohort.downgrade(streamId, ids);
  else await sleep((await cohort.expire(streamId, ids)).inMs, context.signal);
  const lostAtMs = context.clock.monotonicMs();
  return Promise.all(
    ids.map(async (id): Promise<SessionEnd> => {
      const end = await untilHarmless(context, { witness, patienceMs }, id, true);
      if (typeof end === 'string') return { verdict: 'UNKNOWN', said: end, endedMs: null };
      if (!end.harmless) {
        return { verdict: 'OPEN', said: `may still publish after ${patienceMs} ms`, endedMs: null };
      }
      return { verdict: 'CLOSED', said: 'may not publish any more', endedMs: end.atMs - lostAtMs };
    }),
  );
}

/**
 * Out by the witness, without a removal. A gate cuts connections like that, and so does a server that dies; but a server
 * that dies takes everybody along.
 */
function cutOff(why: string, endedMs: number, bystander: Departure | null): SessionEnd {
  if (bystander === null) {
    return { verdict: 'CLOSED', said: `${why}; somebody with a seat stayed in`, endedMs };
  }
  return { verdict: 'UNKNOWN', said: `${why}; somebody with a seat was out as well`, endedMs: null };
}

/** How a session has ended; null: it goes on. */
export function departureOf({ left }: SignalParticipant): Promise<Departure | null> {
  return Promise.race([left, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
}

/** Looks until the user does nothing they may not, at most until the deadline; or why nobody could look. */
async function untilHarmless(
  { clock, signal }: ProbeContext,
  { witness, patienceMs }: Pick<Loss, 'witness' | 'patienceMs'>,
  userId: string,
  watching: boolean,
): Promise<{ readonly harmless: boolean; readonly atMs: number } | string> {
  const endsAtMs = clock.monotonicMs() + patienceMs;
  try {
    for (;;) {
      const offending = await witness.offending(userId, watching);
      const atMs = clock.monotonicMs();
      if (offending.length === 0) return { harmless: true, atMs };
      if (atMs > endsAtMs) return { harmless: false, atMs };
      await sleep(lookEveryMs, signal);
    }
  } catch (error) {
    if (error instanceof LiveKitError) return `the witness could not look: ${error.message}`;
    throw error;
  }
}

/** Who is still there then is found by the next look; that it could not be looked is told there. */
function ignoreBlindness(error: unknown): void {
  if (!(error instanceof LiveKitError)) throw error;
}
