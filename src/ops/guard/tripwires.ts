import { randomUUID } from 'node:crypto';
import type { LiveKitTarget } from '../../config/target.ts';
import { aborted, type Clock, sleep } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { redact } from '../../kernel/redact.ts';
import type { LiveKitAdmin } from '../../target/livekit/admin.ts';
import { signLiveKitToken } from '../../target/livekit/mint.ts';
import { enterRoom, type SignalParticipant } from '../../target/livekit/signal-participant.ts';
import type { SeatPair } from './guard-store.ts';
import { isTripwire, tripwireAttribute } from './tripwire-mark.ts';

export interface TripwiresOptions {
  readonly livekit: LiveKitTarget;
  readonly admin: LiveKitAdmin;
  /** Tells the tripwires of this guard from those of another. */
  readonly guardId: string;
  /** At most so many are armed; each is a socket here and 0.45 MB in LiveKit (measured). */
  readonly limit: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Somebody came in under a banned identity, and was removed `tookMs` later. */
  readonly onTrip: (trip: SeatPair & { readonly tookMs: number }) => void;
}

/** LiveKit drops a participant without media after 60.15 s: well before that its successor takes over. */
const rearmAfterMs = 45_000;
/** A tripwire that was removed, refused or is not needed is looked at again after this. */
const retryAfterMs = 1_000;
/** It is used at once; LiveKit adds a minute of leeway by itself. */
const tokenTtlS = 30;

/**
 * Lies in wait for banned users: a hidden participant without any right holds the banned identity in the room. Whoever
 * joins under it takes its place, which it is told within a millisecond. Without a gate this is the quickest way to
 * notice somebody with an old token; it does not see aliases (`id#x`), the reconciliation does.
 */
export class Tripwires {
  readonly #options: TripwiresOptions;
  readonly #wires = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  #armed = 0;

  constructor(options: TripwiresOptions) {
    this.#options = options;
  }

  get armed(): number {
    return this.#armed;
  }

  /** For these, and for nobody else, a tripwire is to be held from now on; those beyond the limit go without. */
  want(pairs: readonly SeatPair[]): void {
    const wanted = new Map(
      pairs.slice(0, this.#options.limit).map((pair) => [`${pair.streamId}/${pair.userId}`, pair]),
    );
    for (const [key, { stop }] of this.#wires) {
      if (wanted.has(key)) continue;
      stop.abort(new Error('not needed any more'));
      this.#wires.delete(key);
    }
    for (const [key, pair] of wanted) {
      if (this.#wires.has(key)) continue;
      const stop = new AbortController();
      this.#wires.set(key, { stop, done: this.#hold(pair, stop.signal) });
    }
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const wires = [...this.#wires.values()];
    this.want([]);
    await Promise.all(wires.map(({ done }) => done));
  }

  async #hold(pair: SeatPair, signal: AbortSignal): Promise<void> {
    let present: SignalParticipant | null = null;
    while (!signal.aborted) {
      try {
        const next = await this.#arm(pair);
        if (next === null) {
          await sleep(retryAfterMs, signal);
          continue;
        }
        present = next;
        this.#armed += 1;
        const ended = await this.#wait(present, signal).finally(() => {
          this.#armed -= 1;
        });
        if (ended === 'tripped') await this.#tripped(pair);
        if (ended === 'gone') await sleep(retryAfterMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#options.log.debug('guard: a tripwire failed', { error: redact(messageOf(error)) });
        await sleep(retryAfterMs, signal).catch(() => {}); // woken by stop(): the loop looks at it
      }
    }
    await present?.close();
  }

  /** null while it is not to be: another guard holds one, or LiveKit does not let it in. */
  async #arm({ streamId, userId }: SeatPair): Promise<SignalParticipant | null> {
    const { admin, guardId, livekit, clock } = this.#options;
    const occupants = await admin.occupants(streamId);
    // two guards that lie in wait for the same user would throw each other out for ever
    const others = occupants.filter(
      (one) => isTripwire(one) && one.attributes[tripwireAttribute] !== guardId,
    );
    if (others.some(({ identity }) => identity === userId)) return null;
    // whoever is there already is put out by name, not by a duplicate, after which a client comes back
    const isThere = occupants.some((one) => one.identity === userId && !isTripwire(one));
    if (isThere) await this.#tripped({ streamId, userId });
    const nowS = Math.floor(clock.now() / 1000);
    const video = { roomJoin: true, room: streamId, hidden: true, canUpdateOwnMetadata: false };
    const token = await signLiveKitToken(
      {
        ...{ iss: livekit.apiKey, sub: userId, jti: randomUUID(), nbf: nowS, exp: nowS + tokenTtlS },
        video: { ...video, canPublish: false, canPublishData: false, canSubscribe: false },
        attributes: { [tripwireAttribute]: guardId },
      },
      livekit.apiSecret,
    );
    const outcome = await enterRoom({ url: livekit.url, token, door: { path: '/rtc' }, clock });
    return outcome.kind === 'joined' ? outcome.participant : null;
  }

  async #wait(present: SignalParticipant, signal: AbortSignal): Promise<'tripped' | 'gone' | 'due'> {
    const over = new AbortController();
    const ending = AbortSignal.any([signal, over.signal]);
    try {
      const due = sleep(rearmAfterMs, ending).then(
        () => 'due' as const,
        () => 'gone' as const,
      );
      const ended = await Promise.race([present.left, due, aborted(ending)]);
      if (ended === 'due') return 'due';
      if (ended === 'gone' || ended instanceof Error) return 'gone';
      const isTaken = ended.kind === 'leave' && ended.reason === 'DUPLICATE_IDENTITY';
      return isTaken ? 'tripped' : 'gone';
    } finally {
      over.abort();
    }
  }

  async #tripped(pair: SeatPair): Promise<void> {
    const { admin, clock, onTrip } = this.#options;
    const startedAtMs = clock.monotonicMs();
    await admin.remove(pair.streamId, pair.userId);
    onTrip({ ...pair, tookMs: clock.monotonicMs() - startedAtMs });
  }
}
