import {
  ClientInfo,
  ClientInfo_SDK,
  DisconnectReason,
  JoinRequest,
  type JoinResponse,
  type LeaveRequest,
  LeaveRequest_Action,
  type SignalRequest,
  SignalResponse,
  WrappedJoinRequest,
} from '@livekit/protocol';
import { WebSocket } from 'ws';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import { redact } from '../../kernel/redact.ts';
import { classifyLiveKitError } from './livekit-error.ts';

/** A way into a room over LiveKit's signal socket. */
export interface SignalDoor {
  /** `/rtc` takes plain query parameters, `/rtc/v1` a serialized join request. */
  readonly path: '/rtc' | '/rtc/v1';
  /** Joins as `<identity>#<alias>`: an undocumented parameter of `/rtc` for publishers. */
  readonly publishAlias?: string;
  /** Resumes the session of this participant sid instead of joining anew. */
  readonly resumeSid?: string;
}

/** How a session ended; times are `clock.monotonicMs()`. */
export type Departure =
  | {
      readonly kind: 'leave';
      /** `PARTICIPANT_REMOVED`, `ROOM_DELETED`, `JOIN_FAILURE` (the server's own timeout), … */
      readonly reason: string;
      /** `DISCONNECT`, `RESUME` or `RECONNECT`. */
      readonly action: string;
      readonly atMs: number;
    }
  /** The socket closed without a word: the server died (1006), or this side closed it. */
  | { readonly kind: 'closed'; readonly code: number; readonly atMs: number };

/** Somebody in a room who only talks to the signal socket: listed as JOINED, never ACTIVE, dropped after 60 s. */
export interface SignalParticipant {
  readonly identity: string;
  readonly sid: string;
  readonly serverVersion: string;
  readonly canPublish: boolean;
  /** From the dial to the server's `join`. */
  readonly joinMs: number;
  /** The newest token the server signed for this session (10 minutes), once it has come. */
  refreshToken(): string | null;
  readonly left: Promise<Departure>;
  /** Closes the socket and waits for it, at most a second. */
  close(): Promise<void>;
}

export type SignalOutcome =
  | { readonly kind: 'joined'; readonly participant: SignalParticipant }
  /** An old session was taken up again: as good as joined. */
  | { readonly kind: 'resumed'; readonly participant: SignalParticipant }
  /** Let in to the socket and told to go: `STATE_MISMATCH` for the session of somebody who was removed. */
  | { readonly kind: 'left'; readonly departure: Departure }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

/** What a session with media behind it must hear and say beside joining and leaving: offers, candidates, updates. */
export interface SignalTalk {
  /** Every message of the server, in order, from the first on. */
  readonly hear: (message: SignalResponse['message'], say: (request: SignalRequest) => void) => void;
}

/** Joining takes 3 ms, 165 ms at a cold start and 1.1 s behind a burst of 2,000: five seconds is an answer too late. */
const joinDeadlineMs = 5_000;

/** A refusal is one line of text; more is not read. */
const refusalBytesLimit = 4_096;

/** Tries one door with a token. Never throws for what the server does; closes the socket unless it joined. */
export function enterRoom(options: {
  readonly url: string;
  readonly token: string;
  readonly door: SignalDoor;
  readonly clock: Clock;
  readonly deadlineMs?: number;
  readonly talk?: SignalTalk;
}): Promise<SignalOutcome> {
  const socket = new WebSocket(signalUrl(options.url, options.door), {
    // in the header, so that no access log on the way holds the token
    headers: { Authorization: `Bearer ${options.token}` },
    perMessageDeflate: false,
  });
  const session = new SignalSession(socket, options.clock, options.talk);
  return session.enter(options.deadlineMs ?? joinDeadlineMs);
}

/** Where that door is, with all that it is asked but the token. */
export function signalUrl(base: string, door: SignalDoor): string {
  const url = new URL(door.path, base.replace(/^http/, 'ws'));
  if (door.path === '/rtc/v1') {
    const request = new JoinRequest({
      clientInfo: new ClientInfo({ sdk: ClientInfo_SDK.JS, protocol: 16, version: '2.0.0' }),
      connectionSettings: { autoSubscribe: true },
      reconnect: door.resumeSid !== undefined,
      participantSid: door.resumeSid ?? '',
    });
    const wrapped = new WrappedJoinRequest({ joinRequest: request.toBinary() });
    // with its padding, which Node leaves off and the server insists on
    const encoded = Buffer.from(wrapped.toBinary()).toString('base64');
    url.searchParams.set('join_request', encoded.replaceAll('+', '-').replaceAll('/', '_'));
  } else {
    url.search = 'auto_subscribe=1&sdk=js&version=2.0.0&protocol=16';
    if (door.resumeSid !== undefined) {
      url.searchParams.set('reconnect', '1');
      url.searchParams.set('sid', door.resumeSid);
    }
  }
  if (door.publishAlias !== undefined) url.searchParams.set('publish', door.publishAlias);
  return url.href;
}

/** One socket from the dial to its end. */
class SignalSession {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #talk: SignalTalk | undefined;
  readonly #dialedAtMs: number;
  readonly #left = Promise.withResolvers<Departure>();
  readonly #entered = Promise.withResolvers<SignalOutcome>();
  #refreshToken: string | null = null;
  #joined = false;

  constructor(socket: WebSocket, clock: Clock, talk: SignalTalk | undefined) {
    this.#socket = socket;
    this.#clock = clock;
    this.#talk = talk;
    this.#dialedAtMs = clock.monotonicMs();
    socket.on('message', (data: Buffer) => this.#receive(data));
    socket.on('close', (code) => {
      const departure: Departure = { kind: 'closed', code, atMs: this.#clock.monotonicMs() };
      // after a `leave` these change nothing: a promise settles once
      this.#left.resolve(departure);
      this.#entered.resolve({ kind: 'left', departure });
    });
    socket.on('error', (error) => {
      const { message } = classifyLiveKitError(error);
      this.#entered.resolve({ kind: 'unreachable', message });
    });
    // an HTTP answer instead of the upgrade: status and text come here and nowhere else
    socket.on('unexpected-response', (request, response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < refusalBytesLimit) text += chunk;
      });
      response.on('close', () => {
        const message = redact(text.trim().slice(0, refusalBytesLimit));
        this.#entered.resolve({ kind: 'refused', status: response.statusCode ?? 0, message });
        request.destroy();
      });
    });
  }

  async enter(deadlineMs: number): Promise<SignalOutcome> {
    const timer = setTimeout(() => {
      this.#entered.resolve({ kind: 'unreachable', message: `no answer within ${deadlineMs} ms` });
    }, deadlineMs);
    const outcome = await this.#entered.promise;
    clearTimeout(timer);
    if (!this.#joined) this.#socket.terminate();
    return outcome;
  }

  #receive(data: Buffer): void {
    let response: SignalResponse;
    try {
      response = SignalResponse.fromBinary(data);
    } catch (error) {
      this.#entered.resolve({ kind: 'unreachable', message: `not a signal message: ${messageOf(error)}` });
      return;
    }
    const { message } = response;
    if (message.case === 'refreshToken') this.#refreshToken = message.value;
    else if (message.case === 'join') this.#enterAs('joined', message.value);
    else if (message.case === 'reconnect') this.#enterAs('resumed', null);
    else if (message.case === 'leave') this.#leave(message.value);
    this.#talk?.hear(message, (request) => this.#say(request));
  }

  /** What cannot be said any more, because the session has ended, is not worth an error: `left` tells of that. */
  #say(request: SignalRequest): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(request.toBinary());
  }

  #enterAs(kind: 'joined' | 'resumed', join: JoinResponse | null): void {
    this.#joined = true;
    const participant: SignalParticipant = {
      identity: join?.participant?.identity ?? '',
      sid: join?.participant?.sid ?? '',
      serverVersion: join?.serverInfo?.version ?? '',
      canPublish: join?.participant?.permission?.canPublish ?? false,
      joinMs: this.#clock.monotonicMs() - this.#dialedAtMs,
      refreshToken: () => this.#refreshToken,
      left: this.#left.promise,
      close: () => this.#close(),
    };
    this.#entered.resolve({ kind, participant });
  }

  #leave(leave: LeaveRequest): void {
    const departure: Departure = {
      kind: 'leave',
      reason: DisconnectReason[leave.reason] ?? String(leave.reason),
      action: LeaveRequest_Action[leave.action] ?? String(leave.action),
      atMs: this.#clock.monotonicMs(),
    };
    this.#left.resolve(departure);
    this.#entered.resolve({ kind: 'left', departure });
  }

  async #close(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    // the server answers a close within milliseconds; one that does not is cut off
    const timer = setTimeout(() => this.#socket.terminate(), 1_000);
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.close(1000);
    await closed;
    clearTimeout(timer);
  }
}
