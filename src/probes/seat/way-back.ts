import { type Clock, sleep } from '../../kernel/clock.ts';
import { LiveKitError } from '../../target/livekit/livekit-error.ts';
import type { Departure } from '../../target/livekit/signal-participant.ts';
import { type DoorKey, type DoorName, type Knock, knock } from './doors.ts';
import type { RoomWitness } from './room-witness.ts';
import { judgeDeparture } from './victims.ts';

/**
 * CLOSED: refused, by the door and by the witness. WINDOW: in, and removed by somebody else. OPEN: in, and still in
 * when nobody waited longer; or a pre-flight check that says yes. UNKNOWN: no answer, or accounts that differ.
 */
export type WayBackVerdict = 'CLOSED' | 'WINDOW' | 'OPEN' | 'UNKNOWN';

export interface WayBackAttempt {
  readonly verdict: WayBackVerdict;
  /** What the door said, and how it ended. */
  readonly said: string;
  /** Identities of the user that the witness saw right after, doing what they may not. */
  readonly witnessed: readonly string[];
  /** With WINDOW: from being let in to being out. */
  readonly dwellMs: number | null;
  /** Whether whoever got in was handed another 10-minute token. */
  readonly refreshTokenHarvested: boolean;
}

/** Where a way back is tried, and what its user may still do. */
export interface WayBackScene {
  /** Of LiveKit itself or of the gate in front of it. */
  readonly url: string;
  readonly witness: RoomWitness;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A downgraded or expired seat leaves its user the right to watch: only being able to publish is a way back. */
  readonly mayWatch: boolean;
  /** How long somebody who is back in may stay before the door counts as open. */
  readonly patienceMs: number;
}

const lookEveryMs = 50;

/**
 * How long the room must look clean before that is believed without a `leave`: where a session takes the place of
 * another under the same identity, the list shows the old one for some milliseconds more.
 */
const settledMs = 1_000;

/** Tries one way back, and stays in where it opens until somebody else ends it. The room is left as it was found. */
export async function tryWayBack(door: DoorName, key: DoorKey, scene: WayBackScene): Promise<WayBackAttempt> {
  const answer = await knock(door, key, scene.url, scene.clock);
  try {
    return await judge(answer, key, scene);
  } catch (error) {
    if (!(error instanceof LiveKitError)) throw error;
    return attempt('UNKNOWN', `${answer.said}; the witness could not look: ${error.message}`, answer);
  } finally {
    // DELETE of a WHIP session that was removed already hangs for 3 s: the witness takes it out instead
    if (answer.kind === 'in' && answer.left !== null) await answer.leave();
    await scene.witness.clear(key.userId).catch((error: unknown) => {
      if (!(error instanceof LiveKitError)) throw error;
    });
  }
}

async function judge(answer: Knock, key: DoorKey, scene: WayBackScene): Promise<WayBackAttempt> {
  if (answer.kind === 'yes') return attempt('OPEN', answer.said, answer);
  const witnessed = await scene.witness.offending(key.userId, scene.mayWatch);
  if (answer.kind !== 'in') {
    const verdict = answer.kind === 'refused' ? 'CLOSED' : 'UNKNOWN';
    if (witnessed.length === 0) return attempt(verdict, answer.said, answer);
    return attempt('OPEN', `${answer.said}, but the witness sees them in the room`, answer, { witnessed });
  }
  if (scene.mayWatch && answer.canPublish !== true && witnessed.length === 0) {
    return attempt('CLOSED', `${answer.said}, may watch and not publish`, answer);
  }
  return stay(answer, key, scene, witnessed);
}

/** In: how long, and who ends it? */
async function stay(
  answer: Extract<Knock, { kind: 'in' }>,
  key: DoorKey,
  scene: WayBackScene,
  witnessed: readonly string[],
): Promise<WayBackAttempt> {
  const { clock, witness, signal, patienceMs } = scene;
  const { enteredAtMs, said } = answer;
  let departure: Departure | undefined;
  answer.left?.then((left) => {
    departure = left;
  });
  const window = (atMs: number, how: string) =>
    attempt('WINDOW', `${said}, then ${how}`, answer, { witnessed, dwellMs: atMs - enteredAtMs });
  let cleanAtMs: number | null = null;
  while (clock.monotonicMs() - enteredAtMs < patienceMs) {
    const offending = await witness.offending(key.userId, scene.mayWatch);
    const lookedAtMs = clock.monotonicMs();
    cleanAtMs = offending.length > 0 ? null : (cleanAtMs ?? lookedAtMs);
    if (departure !== undefined && cleanAtMs !== null) {
      const end = judgeDeparture(departure);
      if (end.ejected) return window(end.atMs, 'removed');
      return attempt('OPEN', `${said}; no removal ended it: ${end.why}`, answer, { witnessed });
    }
    if (cleanAtMs !== null && lookedAtMs - cleanAtMs >= settledMs) {
      // a session without a socket cannot tell how it ended; the witness has to do
      if (answer.left === null) return window(cleanAtMs, 'gone from the room');
      // a session may be left in with the right to publish taken away
      if (scene.mayWatch) return window(cleanAtMs, 'the right to publish was taken away');
      return attempt('UNKNOWN', `${said}; the witness sees them out, they were not told`, answer);
    }
    await sleep(lookEveryMs, signal);
  }
  return attempt('OPEN', `${said}, still in after ${patienceMs} ms`, answer, { witnessed });
}

function attempt(
  verdict: WayBackVerdict,
  said: string,
  answer: Knock,
  more: { readonly witnessed?: readonly string[]; readonly dwellMs?: number } = {},
): WayBackAttempt {
  return {
    verdict,
    said,
    witnessed: more.witnessed ?? [],
    dwellMs: more.dwellMs ?? null,
    refreshTokenHarvested: answer.kind === 'in' && answer.refreshTokenHarvested,
  };
}
