import type { RealtimeChannel, SupabaseClient } from '@supabase/supabase-js';
import { callApp } from './app-callback.ts';
import { ChatLog, type ChatMessage } from './chat-log.ts';
import { bodyCharsMax, type ChatRefusalCode, messageOf, readMessages, storeMessage } from './chat-rows.ts';
import { type ChatThrottle, createChatThrottle } from './chat-throttle.ts';
import { type LiveChannel, openLiveChannel } from './live-channel.ts';
import { onPageAwake } from './page-signals.ts';

export interface ChatRefusal {
  readonly code: ChatRefusalCode;
  /** For people; the server's own words where it refused. */
  readonly message: string;
}

export type ChatSendResult =
  | { readonly sent: true; readonly message: ChatMessage }
  | { readonly sent: false; readonly refusal: ChatRefusal };

export interface ChatView {
  /** Oldest first, at most 200. */
  readonly messages: readonly ChatMessage[];
  /** `polling`: messages come every few seconds instead of at once. */
  readonly connection: 'connecting' | 'live' | 'polling';
  /** Why the last message was not sent; null once one was. */
  readonly refusal: ChatRefusal | null;
}

export interface BroadcastChatOptions {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  /** The signed-in user; null for a guest, who reads only. */
  readonly userId: string | null;
  readonly onChange?: (view: ChatView) => void;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

export interface BroadcastChat {
  readonly view: ChatView;
  /** When the next message may be sent, counted from now; 0: at once. */
  retryInMs(): number;
  /** Sends, or says why not. A message that may or may not have arrived is not doubled by sending it again. */
  send(body: string): Promise<ChatSendResult>;
  /** Idempotent. Nothing is called afterwards. */
  stop(): void;
}

export const initialChatView: ChatView = { messages: [], connection: 'connecting', refusal: null };

/** Of the broadcast that carries a stored row. */
const messageEvent = 'message';
/** How long the database has to confirm what a client said: hosted Postgres Changes take up to a second. */
const confirmMs = 5_000;
/** While no changes arrive. */
const degradedPollMs = 5_000;
/** For one request. */
const requestMs = 8_000;
/** A message is tried again this often, with the same id, when nobody answered. */
const sendTries = 3;
const sendRetryMs = 400;
/** At one a second and some 25 s for a send that nobody answers, as many as can be under way at a time, and to spare. */
const unansweredMax = 50;
/** Senders whose pace is kept count of; beyond that the oldest is forgotten. */
const sendersMax = 500;

let guests = 0;

/**
 * The chat of a stream: a message is stored through `send_chat_message`, which keeps the pace and names the sender,
 * and then broadcast to the others, who show it at once.
 *
 * A broadcast is a client's word: anybody in the room can make one up. It is therefore shown as `heard`, at most one
 * a second of each sender, and goes again after five seconds unless the row itself arrives (Postgres Changes, or the
 * history read that follows). What is `stored` came from the database.
 *
 * One chat per stream and client at a time: the channel's topic is the room's.
 */
export function createBroadcastChat(options: BroadcastChatOptions): BroadcastChat {
  const chat = new StreamChat(options);
  chat.start();
  return chat;
}

class StreamChat implements BroadcastChat {
  readonly #options: BroadcastChatOptions;
  readonly #now: () => number;
  readonly #throttle: ChatThrottle;
  readonly #log = new ChatLog();
  readonly #senders = new Map<string, ChatThrottle>();
  readonly #stop = new AbortController();
  #view = initialChatView;
  #flows = false;
  #channel: LiveChannel | undefined;
  #forgetPage: (() => void) | undefined;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #confirmTimer: ReturnType<typeof setTimeout> | undefined;
  /** Messages nobody answered for, oldest first: sent again with their own ids, they cannot arrive twice. */
  readonly #unanswered: Array<{ readonly id: string; readonly body: string }> = [];

  constructor(options: BroadcastChatOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#throttle = createChatThrottle({ now: this.#now });
  }

  get view(): ChatView {
    return this.#view;
  }

  start(): void {
    const { supabase, streamId, userId } = this.#options;
    guests += 1;
    this.#channel = openLiveChannel({
      supabase,
      // only signed-in users may use the private channel; a guest gets the rows alone
      topic: userId === null ? `chat-guest:${streamId}:${guests}` : `chat:${streamId}`,
      config: { private: userId !== null, broadcast: { self: false, ack: false } },
      listen: (channel) => this.#listen(channel, streamId),
      onFlow: (flows) => {
        this.#flows = flows;
        void this.#catchUp();
      },
    });
    this.#forgetPage = onPageAwake(() => void this.#catchUp());
    void this.#catchUp();
  }

  stop(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#confirmTimer);
    this.#forgetPage?.();
    this.#channel?.stop();
  }

  retryInMs(): number {
    return this.#throttle.retryInMs();
  }

  async send(text: string): Promise<ChatSendResult> {
    const body = text.trim();
    if (this.#options.userId === null) return this.#refuse('signed_out', 'sign in to chat');
    if (body === '') return this.#refuse('empty', 'there is nothing to send');
    // the table counts characters, JavaScript UTF-16 units
    const chars = [...body].length;
    if (chars > bodyCharsMax) return this.#refuse('too_long', `${chars} characters: at most ${bodyCharsMax}`);
    const turn = this.#throttle.tryAcquire();
    if (!turn.allowed) {
      const seconds = (Math.ceil(turn.retryInMs / 100) / 10).toFixed(1);
      return this.#refuse('too_fast', `one message a second: again in ${seconds} s`);
    }
    const id = this.#takeUnanswered(body) ?? crypto.randomUUID();
    this.#log.send({ id, userId: this.#options.userId, body });
    this.#show({ refusal: null });
    const stored = await this.#store(id, body);
    if (!stored.ok) {
      if (stored.code === 'unreachable') this.#keepUnanswered(id, body);
      if (stored.code === 'too_fast') this.#throttle.holdBack();
      this.#log.drop([id]);
      return this.#refuse(stored.code, stored.message);
    }
    this.#log.store([stored.message]);
    this.#show({ refusal: null });
    this.#broadcast(stored.row);
    return { sent: true, message: stored.message };
  }

  /** @returns the id of a message with this body that nobody answered for, which from here on is being sent again */
  #takeUnanswered(body: string): string | undefined {
    const index = this.#unanswered.findIndex((message) => message.body === body);
    return index === -1 ? undefined : this.#unanswered.splice(index, 1)[0]?.id;
  }

  #keepUnanswered(id: string, body: string): void {
    this.#unanswered.push({ id, body });
    if (this.#unanswered.length > unansweredMax) this.#unanswered.shift();
  }

  async #store(id: string, body: string): ReturnType<typeof storeMessage> {
    const { supabase, streamId } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const stored = await storeMessage(supabase, { id, streamId, body }, this.#deadline());
      const isFinal = stored.ok || stored.code !== 'unreachable' || tries === sendTries;
      if (isFinal || this.#stop.signal.aborted) return stored;
      await new Promise((resolve) => setTimeout(resolve, sendRetryMs * tries));
    }
  }

  #broadcast(row: Readonly<Record<string, unknown>>): void {
    // whom it does not reach gets the row a little later
    this.#channel?.current?.send({ type: 'broadcast', event: messageEvent, payload: row }).catch(() => {});
  }

  #listen(channel: RealtimeChannel, streamId: string): void {
    channel.on('broadcast', { event: messageEvent }, ({ payload }) => this.#hear(payload));
    const filter = `stream_id=eq.${streamId}`;
    const inserts = { event: 'INSERT', schema: 'public', table: 'chat_messages', filter } as const;
    channel.on('postgres_changes', inserts, ({ new: row }) => {
      const message = messageOf(row, streamId);
      if (message === null || this.#stop.signal.aborted) return;
      this.#log.store([message]);
      this.#show({});
    });
  }

  #hear(payload: unknown): void {
    const message = messageOf(payload, this.#options.streamId);
    if (message === null || this.#stop.signal.aborted || this.#log.has(message.id)) return;
    if (!this.#senderThrottle(message.userId).tryAcquire().allowed || !this.#log.hear(message)) return;
    this.#show({});
    this.#confirmTimer ??= setTimeout(() => void this.#confirm(), confirmMs);
  }

  /** The pace of the room holds for those too who go around their own throttle. */
  #senderThrottle(userId: string): ChatThrottle {
    const known = this.#senders.get(userId);
    if (known !== undefined) return known;
    const throttle = createChatThrottle({ now: this.#now });
    this.#senders.set(userId, throttle);
    const [oldest] = this.#senders.keys();
    if (this.#senders.size > sendersMax && oldest !== undefined) this.#senders.delete(oldest);
    return throttle;
  }

  /** Drops what was said and never stored. The event of a row may have been lost, so the rows are asked first. */
  async #confirm(): Promise<void> {
    const waiting = this.#log.heard();
    this.#confirmTimer = undefined;
    if (!(await this.#catchUp()) || this.#stop.signal.aborted) {
      // nobody can say whether it is there: it stays until somebody can
      if (!this.#stop.signal.aborted)
        this.#confirmTimer ??= setTimeout(() => void this.#confirm(), confirmMs);
      return;
    }
    this.#log.drop(waiting);
    this.#show({});
    if (this.#log.heard().length > 0) {
      this.#confirmTimer ??= setTimeout(() => void this.#confirm(), confirmMs);
    }
  }

  /** Reads what may have been missed. @returns whether it could */
  async #catchUp(): Promise<boolean> {
    clearTimeout(this.#pollTimer);
    const messages = await readMessages(this.#options.supabase, this.#options.streamId, this.#deadline());
    if (this.#stop.signal.aborted) return false;
    if (messages !== null) this.#log.store(messages);
    this.#show({ connection: this.#flows ? 'live' : messages === null ? 'connecting' : 'polling' });
    clearTimeout(this.#pollTimer);
    const isWell = this.#flows && messages !== null;
    if (!isWell) this.#pollTimer = setTimeout(() => void this.#catchUp(), degradedPollMs);
    return messages !== null;
  }

  #refuse(code: ChatRefusalCode, message: string): ChatSendResult {
    const refusal = { code, message };
    this.#show({ refusal });
    return { sent: false, refusal };
  }

  #deadline(): AbortSignal {
    return AbortSignal.any([this.#stop.signal, AbortSignal.timeout(requestMs)]);
  }

  #show(changes: Partial<ChatView>): void {
    if (this.#stop.signal.aborted) return;
    this.#view = { ...this.#view, messages: this.#log.list, ...changes };
    callApp(this.#options.onChange, this.#view);
  }
}
