import type { Target } from '../../config/target.ts';
import { mapBounded } from '../../kernel/bounded-map.ts';
import { sleep } from '../../kernel/clock.ts';
import {
  type Departure,
  enterRoom,
  type SignalParticipant,
} from '../../target/livekit/signal-participant.ts';
import { requestToken } from '../../target/livekit/token-endpoint.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import type { SeatCohort } from '../seat-cohort.ts';

/** Where victims go: the stream, its room's LiveKit, and the endpoint that gives them tokens. */
export interface Stage {
  readonly cohort: SeatCohort;
  readonly streamId: string;
  readonly livekit: NonNullable<Target['livekit']>;
  readonly tokenEndpoint: string;
}

/** A user with a seat, in the room with a token from the app's own endpoint. */
export interface Victim {
  readonly user: SyntheticUser;
  readonly token: string;
  readonly participant: SignalParticipant;
  /** How often they were refused before they were let in. */
  readonly refusals: number;
}

/** Somebody with a seat was given no token, or not let in with it: what was to be tried could not be. */
export class HolderTurnedAway extends Error {
  override readonly name = 'HolderTurnedAway';
}

/** Joins at once: beyond 8 the server queues them (181 ms at 50, 3 ms alone; measured). */
const joinsAtOnce = 8;

/** A gate hears of a grant a moment after the database knows it; who is still refused after this is not waiting for news. */
const grantNewsMs = 2_000;

/** The refresh token follows `join` within a millisecond or two; half a second is a server that gives none. */
const refreshTokenMs = 500;

/** Grants seats to the users and has each of them join. @throws HolderTurnedAway for the first who could not get in */
export async function seatVictims(
  context: ProbeContext,
  stage: Stage,
  users: readonly SyntheticUser[],
): Promise<Victim[]> {
  await stage.cohort.grant(
    stage.streamId,
    users.map(({ id }) => id),
  );
  return mapBounded(users, joinsAtOnce, async (user) => {
    context.signal.throwIfAborted();
    return seatVictim(context, stage, user);
  });
}

/** Asks the app's token endpoint as this user. */
export function askForToken(
  { target }: ProbeContext,
  stage: Pick<Stage, 'tokenEndpoint' | 'streamId'>,
  user: SyntheticUser,
) {
  return requestToken(stage.tokenEndpoint, {
    apiKey: target.anonKey.reveal(),
    bearer: user.token,
    body: JSON.stringify({ streamId: stage.streamId }),
  });
}

/** Has a user who holds a seat join. @throws HolderTurnedAway saying why it could not get in */
export async function seatVictim(context: ProbeContext, stage: Stage, user: SyntheticUser): Promise<Victim> {
  const answer = await askForToken(context, stage, user);
  if (answer.token === null) {
    throw new HolderTurnedAway(
      `the token endpoint gave a seat holder no token: ${answer.status} ${answer.problem}`,
    );
  }
  const endsAtMs = context.clock.monotonicMs() + grantNewsMs;
  for (let refusals = 0; ; refusals++) {
    const outcome = await enterRoom({
      url: stage.livekit.url,
      token: answer.token,
      door: { path: '/rtc' },
      clock: context.clock,
    });
    if (outcome.kind === 'joined') {
      return { user, token: answer.token, participant: outcome.participant, refusals };
    }
    if (outcome.kind !== 'refused' || context.clock.monotonicMs() > endsAtMs) {
      const why = 'message' in outcome ? `: ${outcome.message}` : '';
      const where = stage.livekit.url;
      throw new HolderTurnedAway(`a seat holder could not join at ${where}: ${outcome.kind}${why}`);
    }
    await sleep(100, context.signal);
  }
}

/** The token that the server itself signed for the session, or null when it sends none. */
export async function harvestRefreshToken(
  { clock, signal }: ProbeContext,
  participant: SignalParticipant,
): Promise<string | null> {
  const endsAtMs = clock.monotonicMs() + refreshTokenMs;
  while (participant.refreshToken() === null && clock.monotonicMs() < endsAtMs) await sleep(5, signal);
  return participant.refreshToken();
}

export type EjectionVerdict =
  | { readonly ejected: true; readonly atMs: number }
  /** `timeout`: still in the room. The others ended in a way that is no ejection. */
  | { readonly ejected: false; readonly why: string };

/**
 * Waits until a victim is told to leave. Only a removal counts: `JOIN_FAILURE` is LiveKit's own timeout after 60 s,
 * and a socket that just closes may be a server that died.
 * @param ms must end well before those 60 s, or a timeout would pass for an ejection
 */
export async function awaitEjection(participant: SignalParticipant, ms: number): Promise<EjectionVerdict> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  const departure = await Promise.race([participant.left, late]);
  clearTimeout(timer);
  return departure === null ? { ejected: false, why: `still in after ${ms} ms` } : judgeDeparture(departure);
}

/** Whether a session's end is an ejection. */
export function judgeDeparture(departure: Departure): EjectionVerdict {
  if (departure.kind === 'closed') {
    return { ejected: false, why: `the socket closed with ${departure.code}, without a leave` };
  }
  const removed = departure.reason === 'PARTICIPANT_REMOVED' || departure.reason === 'ROOM_DELETED';
  if (removed && departure.action === 'DISCONNECT') return { ejected: true, atMs: departure.atMs };
  return { ejected: false, why: `leave ${departure.reason}/${departure.action}` };
}
