import {
  type SessionDescription as ServerDescription,
  type TrickleRequest as ServerTrickle,
  SessionDescription,
  SignalRequest,
  type SignalResponse,
  SignalTarget,
  TrickleRequest,
} from '@livekit/protocol';
import type { RTCPeerConnection } from 'werift';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import { isLoopbackHost } from '../../kernel/loopback.ts';
import { redact } from '../../kernel/redact.ts';
import { enterRoom, type SignalOutcome, type SignalParticipant } from './signal-participant.ts';

/** Somebody who is really there: ICE and DTLS stand, so that the server lists them as ACTIVE and tells its webhooks. */
export interface ActiveParticipant extends SignalParticipant {
  /** From the dial until the media connection stood. */
  readonly activeMs: number;
}

export type ActiveOutcome =
  | { readonly kind: 'active'; readonly participant: ActiveParticipant }
  /** In by signal, but no media connection came about: UDP is blocked, or the server is overloaded. */
  | { readonly kind: 'signal_only'; readonly why: string }
  | Exclude<SignalOutcome, { readonly kind: 'joined' | 'resumed' }>;

/** Some 150 ms once warm, 0.5 s with fifty at once, 0.6 s when the code is cold: five seconds is nobody answering. */
const activeDeadlineMs = 5_000;

/**
 * Joins as a browser does that only watches: answers the subscriber offer of the server, exchanges candidates, and
 * waits until DTLS stands. The server calls it ACTIVE then: `listParticipants` says so at once, its own `update` only
 * up to 3 s later, since it gathers those of subscribers. No tracks are sent or read. Never throws for what the server
 * does; closes what it opened unless it gives a participant back.
 */
export async function enterActive(options: {
  readonly url: string;
  readonly token: string;
  readonly clock: Clock;
  readonly deadlineMs?: number;
}): Promise<ActiveOutcome> {
  const { url, token, clock, deadlineMs = activeDeadlineMs } = options;
  // 0.2 s to load, so only when somebody shall really be active
  const { RTCPeerConnection: Peer } = await import('werift');
  const isLoopback = isLoopbackHost(new URL(url).hostname);
  const peer = new Peer({
    iceServers: [],
    // left out of the candidates otherwise, and a server that listens on loopback only is reached by no other
    ...(isLoopback ? { iceAdditionalHostAddresses: ['127.0.0.1'], iceUseIpv6: false } : {}),
  });
  const startedAtMs = clock.monotonicMs();
  const media = new SubscriberMedia(peer);
  const outcome = await enterRoom({ url, token, clock, door: { path: '/rtc' }, deadlineMs, talk: media });
  if (outcome.kind !== 'joined' && outcome.kind !== 'resumed') {
    await media.close();
    return outcome;
  }
  const { participant } = outcome;
  const why = await media.untilConnected(participant, deadlineMs);
  const leave = async () => {
    await media.close();
    await participant.close();
  };
  if (why !== null) {
    await leave();
    return { kind: 'signal_only', why };
  }
  const activeMs = clock.monotonicMs() - startedAtMs;
  // the session's own methods stay bound to it: they are closures
  return { kind: 'active', participant: { ...participant, activeMs, close: leave } };
}

/** The media side of one session: the subscriber's peer connection, driven by what the server says. */
class SubscriberMedia {
  readonly #peer: RTCPeerConnection;
  readonly #connected = Promise.withResolvers<null>();
  readonly #failed = Promise.withResolvers<string>();
  /** Descriptions and candidates one after the other: a candidate is of no use before the offer it belongs to. */
  #work: Promise<void> = Promise.resolve();
  #say: (request: SignalRequest) => void = () => {};

  constructor(peer: RTCPeerConnection) {
    this.#peer = peer;
    peer.connectionStateChange.subscribe((state) => {
      if (state === 'connected') this.#connected.resolve(null);
      else if (state === 'failed') this.#failed.resolve('the media connection failed');
    });
    peer.onIceCandidate.subscribe((candidate) => {
      if (candidate !== undefined) this.#say(trickleOf(JSON.stringify(candidate.toJSON())));
    });
  }

  hear(message: SignalResponse['message'], say: (request: SignalRequest) => void): void {
    this.#say = say;
    if (message.case === 'offer') this.#then(() => this.#answer(message.value));
    else if (message.case === 'trickle') this.#then(() => this.#addCandidate(message.value));
  }

  /** @returns null once the media connection stands, else why it does not */
  async untilConnected(participant: SignalParticipant, deadlineMs: number): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      const state = () => `ICE ${this.#peer.iceConnectionState}, connection ${this.#peer.connectionState}`;
      timer = setTimeout(
        () => resolve(`no media connection after ${deadlineMs} ms (${state()})`),
        deadlineMs,
      );
    });
    const left = participant.left.then((departure) => `left before: ${departure.kind}`);
    const why = await Promise.race([this.#connected.promise, this.#failed.promise, left, late]);
    clearTimeout(timer);
    return why;
  }

  async close(): Promise<void> {
    this.#say = () => {};
    await this.#work;
    await this.#peer.close();
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#failed.resolve(redact(messageOf(error)));
    });
  }

  async #answer(offer: ServerDescription): Promise<void> {
    await this.#peer.setRemoteDescription({ type: 'offer', sdp: offer.sdp });
    await this.#peer.setLocalDescription(await this.#peer.createAnswer());
    const { sdp = '' } = this.#peer.localDescription ?? {};
    const value = new SessionDescription({ type: 'answer', sdp, id: offer.id });
    this.#say(new SignalRequest({ message: { case: 'answer', value } }));
  }

  async #addCandidate({ candidateInit, target }: ServerTrickle): Promise<void> {
    if (target !== SignalTarget.SUBSCRIBER) return;
    // JSON of an RTCIceCandidateInit, as the browser's own API takes it
    await this.#peer.addIceCandidate(JSON.parse(candidateInit));
  }
}

function trickleOf(candidateInit: string): SignalRequest {
  const value = new TrickleRequest({ candidateInit, target: SignalTarget.SUBSCRIBER });
  return new SignalRequest({ message: { case: 'trickle', value } });
}
