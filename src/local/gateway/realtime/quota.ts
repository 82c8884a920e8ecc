import type { QuotaProfile } from '../context.ts';
import { RateCounter } from './rate-counter.ts';

/** How many refusals of each kind there were since the start. */
export interface QuotaRefusals {
  messages: number;
  joins: number;
  connections: number;
  channels: number;
  payload: number;
  presence: number;
  clientPresence: number;
}

/** hosted adds this to the limit in KB * 1000 before it compares (`@payload_size_padding`) */
const payloadPaddingBytes = 500;
/** the external term format around a body: what `:erlang.external_size` adds to the bytes of a broadcast */
const termOverheadBytes = 50;
/** `client_presence_rate_limit` of supabase/realtime */
const clientPresenceWindowMs = 30_000;

/**
 * The limits of a hosted plan, counted as hosted counts them (one project on one node). Without a profile
 * every question is answered "yes" and nothing is counted.
 *
 * Counters start when they are first used, as on hosted: the first, empty tick belongs to the first event.
 */
export class Quota {
  readonly profile: QuotaProfile | null;
  readonly refusals: QuotaRefusals = {
    messages: 0,
    joins: 0,
    connections: 0,
    channels: 0,
    payload: 0,
    presence: 0,
    clientPresence: 0,
  };
  readonly #counters = new Map<'messages' | 'changes' | 'joins' | 'presence', RateCounter>();
  #timers: NodeJS.Timeout[] = [];

  constructor(profile: QuotaProfile | null) {
    this.profile = profile;
  }

  /** One message received from a client, REST or the database, or delivered to a channel. */
  countMessages(count: number): void {
    this.#counter('messages')?.add(count);
  }

  get messagesExceeded(): boolean {
    return this.#counter('messages')?.triggered ?? false;
  }

  /** What REST compares: the average, and the average plus the size of the batch (0 for the single form). */
  restRefusal(messages: number): string | null {
    const counter = this.#counter('messages');
    if (!counter) return null;
    const refusal =
      counter.averagePerS > counter.limitPerS
        ? 'You have exceeded your rate limit'
        : messages + counter.averagePerS > counter.limitPerS
          ? 'Too many messages to broadcast, please reduce the batch size'
          : null;
    if (refusal) this.refusals.messages++;
    return refusal;
  }

  /** postgres_changes has a counter of its own against the same limit. */
  countChanges(deliveries: number): void {
    this.#counter('changes')?.add(deliveries);
  }

  get changesExceeded(): boolean {
    return this.#counter('changes')?.triggered ?? false;
  }

  countJoin(): void {
    this.#counter('joins')?.add(1);
  }

  get joinsExceeded(): boolean {
    const exceeded = this.#counter('joins')?.triggered ?? false;
    if (exceeded) this.refusals.joins++;
    return exceeded;
  }

  /** @param users sockets that have joined a channel: hosted counts a socket from its first join on */
  connectionsExceeded(users: number): boolean {
    const exceeded = this.profile !== null && users >= this.profile.connections;
    if (exceeded) this.refusals.connections++;
    return exceeded;
  }

  channelsExceeded(channels: number): boolean {
    const exceeded = this.profile !== null && channels >= this.profile.channelsPerConnection;
    if (exceeded) this.refusals.channels++;
    return exceeded;
  }

  payloadExceeded(bytes: number): boolean {
    if (!this.profile) return false;
    const exceeded =
      bytes + termOverheadBytes > this.profile.broadcastPayloadKb * 1_000 + payloadPaddingBytes;
    if (exceeded) this.refusals.payload++;
    return exceeded;
  }

  /** hosted documents a number of keys per presence object; here more of them is "too large". */
  presencePayloadExceeded(payload: object): boolean {
    if (!this.profile) return false;
    if (Object.keys(payload).length <= this.profile.presenceKeysPerObject) return false;
    this.refusals.payload++;
    return true;
  }

  /** True when the presence message may not pass; counts it when it may. */
  presenceExceeded(): boolean {
    const counter = this.#counter('presence');
    if (!counter) return false;
    if (counter.averagePerS > counter.limitPerS) {
      this.refusals.presence++;
      return true;
    }
    counter.add(1);
    return false;
  }

  countPresenceDeliveries(count: number): void {
    this.#counter('presence')?.add(count);
  }

  /** A fresh window per channel: calls of one client in 30 s. */
  clientPresenceWindow(): (nowMs: number) => boolean {
    const callsMax = this.profile?.presenceCallsPerClient30S ?? Number.POSITIVE_INFINITY;
    let calls = 0;
    let resetsAtMs = Number.NEGATIVE_INFINITY;
    return (nowMs) => {
      if (nowMs > resetsAtMs) {
        calls = 1;
        resetsAtMs = nowMs + clientPresenceWindowMs;
        return false;
      }
      if (calls >= callsMax) {
        this.refusals.clientPresence++;
        return true;
      }
      calls++;
      return false;
    };
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
  }

  #counter(name: 'messages' | 'changes' | 'joins' | 'presence'): RateCounter | undefined {
    if (!this.profile) return undefined;
    const existing = this.#counters.get(name);
    if (existing) return existing;
    const limitPerS = {
      messages: this.profile.messagesPerS,
      changes: this.profile.messagesPerS,
      joins: this.profile.joinsPerS,
      presence: this.profile.presencePerS,
    }[name];
    const counter = new RateCounter(limitPerS);
    this.#counters.set(name, counter);
    this.#timers.push(setInterval(() => counter.tick(), RateCounter.tickMs).unref());
    return counter;
  }
}
