import type { RealtimeChannel, RealtimeChannelOptions, SupabaseClient } from '@supabase/supabase-js';

export interface LiveChannelOptions {
  readonly supabase: SupabaseClient;
  readonly topic: string;
  readonly config?: RealtimeChannelOptions['config'];
  /** Adds the listeners; called for every new channel, before it is joined. */
  listen(channel: RealtimeChannel): void;
  /** true: from now on every change arrives; false: some may be missed until it is true again. */
  onFlow(flows: boolean): void;
}

export interface LiveChannel {
  /** The joined channel while there is one, for sending. */
  readonly current: RealtimeChannel | undefined;
  /** Idempotent. No listener is called afterwards. */
  stop(): void;
}

/** The first try after a refusal; each further one waits twice as long. */
const retryFirstMs = 250;
/** A server that is down is asked no more often than phoenix asks for its socket. */
const retryMaxMs = 10_000;
/** A channel that was joined and never began to flow is replaced: the server's own start takes 1–3 s (supabase.md §1). */
const flowMs = 30_000;

/**
 * A Realtime channel for Postgres Changes that comes back by itself, whoever closed it.
 *
 * `SUBSCRIBED` only says that the channel is joined; changes flow from the server's `system` message of
 * `postgres_changes` on, one to three seconds later on hosted Supabase, and what happens between is never delivered.
 * supabase-js rejoins after a lost socket, but not after the server closed the channel (an expired token, a rate
 * limit): then a new one is made here, with a fresh token.
 */
export function openLiveChannel(options: LiveChannelOptions): LiveChannel {
  const opened = new ReopeningChannel(options);
  opened.open();
  return opened;
}

class ReopeningChannel implements LiveChannel {
  readonly #options: LiveChannelOptions;
  #channel: RealtimeChannel | undefined;
  #joined = false;
  #flows = false;
  #stopped = false;
  #attempts = 0;
  #retries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LiveChannelOptions) {
    this.#options = options;
  }

  get current(): RealtimeChannel | undefined {
    return this.#joined ? this.#channel : undefined;
  }

  open(): void {
    this.#attempts += 1;
    const attempt = this.#attempts;
    const ifLast = (act: () => void) => () => {
      if (!this.#stopped && attempt === this.#attempts) act();
    };
    this.#wait(flowMs);
    // a page that has just loaded joins as anon otherwise, to whom row security shows nothing of a user's rows
    const token = this.#options.supabase.realtime.setAuth();
    token.then(
      ifLast(() => this.#join()),
      ifLast(() => this.#retry()),
    );
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#drop();
  }

  #join(): void {
    const { supabase, topic, config } = this.#options;
    // supabase-js gives out one object per topic: one that is still leaving would take the new listeners with it
    if (supabase.getChannels().some((channel) => channel.topic === `realtime:${topic}`)) {
      this.#retry();
      return;
    }
    const channel = supabase.channel(topic, config === undefined ? undefined : { config });
    this.#channel = channel;
    const ifCurrent =
      <A extends unknown[]>(act: (...given: A) => void) =>
      (...given: A) => {
        if (this.#channel === channel) act(...given);
      };
    this.#options.listen(channel);
    channel.on('system', {}, ifCurrent(this.#onSystem.bind(this)));
    channel.subscribe(ifCurrent(this.#onStatus.bind(this)));
  }

  #onStatus(status: string): void {
    this.#joined = status === 'SUBSCRIBED';
    if (this.#joined) return;
    this.#setFlows(false);
    // the other failures are rejoined by supabase-js; a channel that was closed is not
    if (status === 'CLOSED') this.#retry();
    else this.#wait(flowMs);
  }

  #onSystem(payload: { readonly extension?: unknown; readonly status?: unknown }): void {
    if (payload.status === 'error') this.#retry();
    else if (payload.extension === 'postgres_changes' && payload.status === 'ok') {
      clearTimeout(this.#timer);
      this.#retries = 0;
      this.#setFlows(true);
    }
  }

  #retry(): void {
    this.#drop();
    if (this.#stopped) return;
    const backoffMs = Math.min(retryFirstMs * 2 ** this.#retries, retryMaxMs);
    this.#retries += 1;
    // spread out: everybody in a room is closed at the same moment when a server goes
    this.#timer = setTimeout(() => this.open(), backoffMs * (0.5 + Math.random() / 2));
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#retry(), ms);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    const channel = this.#channel;
    this.#channel = undefined;
    this.#joined = false;
    this.#setFlows(false);
    // whether the server still hears the leave makes no difference to anybody
    if (channel !== undefined) this.#options.supabase.removeChannel(channel).catch(() => {});
  }

  #setFlows(flows: boolean): void {
    if (this.#flows === flows) return;
    this.#flows = flows;
    if (!this.#stopped) this.#options.onFlow(flows);
  }
}
