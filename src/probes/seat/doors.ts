import type { Clock } from '../../kernel/clock.ts';
import {
  type Departure,
  enterRoom,
  type SignalDoor,
  type SignalOutcome,
} from '../../target/livekit/signal-participant.ts';
import { validateEntry } from '../../target/livekit/validate.ts';
import { enterByWhip } from '../../target/livekit/whip.ts';

/** A way into a room for somebody who holds a token. Every one of these was open on livekit-server 1.11.0 but resume. */
export const doorNames = [
  'rtc',
  'rtc-v1',
  'rtc-publish-alias',
  'rtc-resume',
  'rtc-validate',
  'rtc-v1-validate',
  'whip',
] as const;
export type DoorName = (typeof doorNames)[number];

export const doorTitles: Readonly<Record<DoorName, string>> = {
  rtc: '/rtc',
  'rtc-v1': '/rtc/v1',
  'rtc-publish-alias': '/rtc?publish=<alias>',
  'rtc-resume': '/rtc?reconnect=1&sid=<old session>',
  'rtc-validate': '/rtc/validate',
  'rtc-v1-validate': '/rtc/v1/validate',
  whip: 'POST /whip/v1',
};

/** What somebody brings to a door: a token, and the session it once had. */
export interface DoorKey {
  readonly userId: string;
  readonly token: string;
  readonly sid: string;
}

/** What a door answered to a knock; `said` is that in a line: `joined`, `refused 401: …`, `leave STATE_MISMATCH/RECONNECT`. */
export type Knock =
  /** In, by its own account. */
  | {
      readonly kind: 'in';
      readonly said: string;
      /** `clock.monotonicMs()` */
      readonly enteredAtMs: number;
      /** null: the door does not say (a resumed session). */
      readonly canPublish: boolean | null;
      /** Whether the session handed out another 10-minute token. */
      readonly refreshTokenHarvested: boolean;
      /** How the session ends, where it has a socket that can tell. */
      readonly left: Promise<Departure> | null;
      readonly leave: () => Promise<void>;
    }
  /** A pre-flight check that says yes; nobody is in. */
  | { readonly kind: 'yes'; readonly said: string }
  | { readonly kind: 'refused'; readonly said: string }
  /** Nobody answered, or not about the question: nothing is known about the door. */
  | { readonly kind: 'silent'; readonly said: string };

/** The server sends the refresh token right behind `join`: this is for the way. */
const refreshWaitMs = 20;

/** A refusal is a line; what follows is LiveKit's own stack of causes. */
const saidLimit = 120;

/** Knocks at one door of a LiveKit, or of the gate in front of it. Never throws for what is answered. */
export async function knock(door: DoorName, key: DoorKey, url: string, clock: Clock): Promise<Knock> {
  if (door === 'whip') return byWhip(key, url, clock);
  const signal = signalDoor(door, key);
  if (door === 'rtc-validate' || door === 'rtc-v1-validate') {
    const outcome = await validateEntry(url, key.token, signal);
    if (outcome.kind === 'accepted') return { kind: 'yes', said: `would let in: ${outcome.status}` };
    return outcome.kind === 'refused' ? refusedBy(outcome) : { kind: 'silent', said: outcome.message };
  }
  return bySignal(await enterRoom({ url, token: key.token, door: signal, clock }), clock);
}

async function bySignal(outcome: SignalOutcome, clock: Clock): Promise<Knock> {
  switch (outcome.kind) {
    case 'joined':
    case 'resumed': {
      const enteredAtMs = clock.monotonicMs();
      const { participant, kind: said } = outcome;
      await Promise.race([participant.left, new Promise((resolve) => setTimeout(resolve, refreshWaitMs))]);
      return {
        kind: 'in',
        said,
        enteredAtMs,
        canPublish: said === 'joined' ? participant.canPublish : null,
        refreshTokenHarvested: participant.refreshToken() !== null,
        left: participant.left,
        leave: () => participant.close(),
      };
    }
    case 'left':
      return sentAway(outcome.departure);
    case 'refused':
      return refusedBy(outcome);
    case 'unreachable':
      return { kind: 'silent', said: outcome.message };
  }
}

/** A `leave` instead of a `join` is a refusal, but for the server's own timeout; a bare close may be a server that died. */
function sentAway(departure: Departure): Knock {
  if (departure.kind === 'closed') return { kind: 'silent', said: `closed with ${departure.code}` };
  const said = `leave ${departure.reason}/${departure.action}`;
  return { kind: departure.reason === 'JOIN_FAILURE' ? 'silent' : 'refused', said };
}

async function byWhip(key: DoorKey, url: string, clock: Clock): Promise<Knock> {
  const outcome = await enterByWhip(url, key.token);
  switch (outcome.kind) {
    case 'admitted':
      return {
        kind: 'in',
        said: `admitted ${outcome.status}`,
        enteredAtMs: clock.monotonicMs(),
        // there is nothing else to be done by this door
        canPublish: true,
        refreshTokenHarvested: false,
        left: null,
        leave: outcome.leave,
      };
    case 'refused':
      return refusedBy(outcome);
    case 'unreachable':
      return { kind: 'silent', said: outcome.message };
  }
}

/** A 5xx is the server's own trouble, and neither too late nor too often is a decision about somebody. */
function refusedBy({ status, message }: { readonly status: number; readonly message: string }): Knock {
  const said = `refused ${status}: ${message.slice(0, saidLimit)}`;
  const decided = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return { kind: decided ? 'refused' : 'silent', said };
}

function signalDoor(door: Exclude<DoorName, 'whip'>, key: DoorKey): SignalDoor {
  switch (door) {
    case 'rtc':
    case 'rtc-validate':
      return { path: '/rtc' };
    case 'rtc-v1':
    case 'rtc-v1-validate':
      return { path: '/rtc/v1' };
    case 'rtc-publish-alias':
      return { path: '/rtc', publishAlias: 'back' };
    case 'rtc-resume':
      return { path: '/rtc', resumeSid: key.sid };
  }
}
