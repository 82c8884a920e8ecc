import type { Clock } from '../../kernel/clock.ts';
import { isIdentityOf, type LiveKitAdmin } from '../../target/livekit/admin.ts';
import { LiveKitError } from '../../target/livekit/livekit-error.ts';
import { enterRoom, type SignalDoor } from '../../target/livekit/signal-participant.ts';
import { enterByWhip } from '../../target/livekit/whip.ts';

/** A way into a room for somebody who holds a token. Every one of these was open on livekit-server 1.11.0 but resume. */
export const doorNames = ['rtc', 'rtc-v1', 'rtc-publish-alias', 'rtc-resume', 'whip'] as const;
export type DoorName = (typeof doorNames)[number];

export const doorTitles: Readonly<Record<DoorName, string>> = {
  rtc: '/rtc',
  'rtc-v1': '/rtc/v1',
  'rtc-publish-alias': '/rtc?publish=<alias>',
  'rtc-resume': '/rtc?reconnect=1&sid=<old session>',
  whip: 'POST /whip/v1',
};

/** What somebody brings to a door: a token, and the session it once had. */
export interface DoorKey {
  readonly userId: string;
  readonly token: string;
  readonly sid: string;
}

export interface DoorAttempt {
  /** open: in by its own account or by the witness. shut: refused or sent away, and not in the room. */
  readonly verdict: 'open' | 'shut' | 'unknown';
  /** What the door said: `joined`, `refused 401: …`, `leave STATE_MISMATCH/RECONNECT`. */
  readonly said: string;
  /** Identities of the user that the server listed right after. */
  readonly witnessed: readonly string[];
  /** Whether the session handed out another 10-minute token. */
  readonly refreshTokenHarvested: boolean;
}

/** The server sends the refresh token right behind `join`: this is for the way. */
const refreshWaitMs = 20;

/** One round empties the room, a second meets what ended by itself meanwhile. */
const clearRounds = 3;

/** Tries one door, asks the witness, and leaves the room again. */
export async function tryDoor(
  door: DoorName,
  key: DoorKey,
  room: { readonly admin: LiveKitAdmin; readonly name: string; readonly clock: Clock },
): Promise<DoorAttempt> {
  const entry = door === 'whip' ? await byWhip(key, room.admin.url) : await bySignal(door, key, room);
  const witnessed = await sessionsOf(key.userId, room);
  await clear(key.userId, witnessed, room);
  // DELETE of a WHIP session that was removed already hangs for 3 s; a socket is closed in any case
  if (door !== 'whip' || witnessed.length === 0) await entry.leave();
  const inside = entry.inside || witnessed.length > 0;
  return {
    verdict: inside ? 'open' : entry.answered ? 'shut' : 'unknown',
    said: entry.said,
    witnessed,
    refreshTokenHarvested: entry.refreshed,
  };
}

type Room = Parameters<typeof tryDoor>[2];

async function sessionsOf(userId: string, { admin, name }: Room): Promise<string[]> {
  const occupants = await admin.occupants(name);
  return occupants.map(({ identity }) => identity).filter((identity) => isIdentityOf(identity, userId));
}

/**
 * Takes the user out, so that the next door is tried by somebody who is not in. A removal that meets a session which
 * is ending by itself gets no answer from 1.11.0: then the list decides whether there is anybody left.
 */
async function clear(userId: string, sessions: readonly string[], room: Room): Promise<void> {
  let left = sessions;
  for (let round = 0; left.length > 0 && round < clearRounds; round++) {
    for (const identity of left) {
      await room.admin.remove(room.name, identity).catch((error: unknown) => {
        if (!(error instanceof LiveKitError) || !error.failure.retryable) throw error;
      });
    }
    left = await sessionsOf(userId, room);
  }
}

interface Entry {
  readonly inside: boolean;
  /** False when nobody answered: then nothing is known about the door. */
  readonly answered: boolean;
  readonly said: string;
  readonly refreshed: boolean;
  readonly leave: () => Promise<void>;
}

const nothingToLeave = async () => {};

async function bySignal(
  door: Exclude<DoorName, 'whip'>,
  key: DoorKey,
  room: { readonly admin: LiveKitAdmin; readonly clock: Clock },
): Promise<Entry> {
  const outcome = await enterRoom({
    url: room.admin.url,
    token: key.token,
    door: signalDoor(door, key),
    clock: room.clock,
  });
  switch (outcome.kind) {
    case 'joined':
    case 'resumed': {
      const { participant } = outcome;
      await Promise.race([participant.left, new Promise((resolve) => setTimeout(resolve, refreshWaitMs))]);
      const refreshed = participant.refreshToken() !== null;
      return {
        inside: true,
        answered: true,
        said: outcome.kind,
        refreshed,
        leave: () => participant.close(),
      };
    }
    case 'left': {
      const { departure } = outcome;
      const said =
        departure.kind === 'leave'
          ? `leave ${departure.reason}/${departure.action}`
          : `closed with ${departure.code}`;
      // a bare close may as well be a server that died
      const answered = departure.kind === 'leave';
      return { inside: false, answered, said, refreshed: false, leave: nothingToLeave };
    }
    case 'refused': {
      // a 5xx is the server's own trouble, not a refusal
      const answered = outcome.status >= 400 && outcome.status < 500;
      const said = `refused ${outcome.status}: ${outcome.message.slice(0, 120)}`;
      return { inside: false, answered, said, refreshed: false, leave: nothingToLeave };
    }
    case 'unreachable':
      return {
        inside: false,
        answered: false,
        said: outcome.message,
        refreshed: false,
        leave: nothingToLeave,
      };
  }
}

function signalDoor(door: Exclude<DoorName, 'whip'>, key: DoorKey): SignalDoor {
  switch (door) {
    case 'rtc':
      return { path: '/rtc' };
    case 'rtc-v1':
      return { path: '/rtc/v1' };
    case 'rtc-publish-alias':
      return { path: '/rtc', publishAlias: 'back' };
    case 'rtc-resume':
      return { path: '/rtc', resumeSid: key.sid };
  }
}

async function byWhip(key: DoorKey, url: string): Promise<Entry> {
  const outcome = await enterByWhip(url, key.token);
  if (outcome.kind === 'admitted') {
    const said = `admitted ${outcome.status}`;
    return { inside: true, answered: true, said, refreshed: false, leave: outcome.leave };
  }
  if (outcome.kind === 'unreachable') {
    return { inside: false, answered: false, said: outcome.message, refreshed: false, leave: nothingToLeave };
  }
  const answered = outcome.status >= 400 && outcome.status < 500;
  const said = `refused ${outcome.status}: ${outcome.message.slice(0, 120)}`;
  return { inside: false, answered, said, refreshed: false, leave: nothingToLeave };
}
