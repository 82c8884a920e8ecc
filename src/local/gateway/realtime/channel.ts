import { fanOutPresence } from './channel-presence.ts';
import type { Connection } from './connection.ts';
import type { RealtimeCore } from './core.ts';
import type { JoinConfig } from './join-config.ts';
import { type ChannelPolicies, type PolicySubject, unknownPolicies } from './policies.ts';
import { encodeMessage, encodeReply, type Vsn } from './serializer.ts';
import type { VerifiedToken } from './token.ts';
import type { Topic } from './topics.ts';

const nothing: ReadonlySet<string> = new Set();

/** One joined topic of one socket. */
export class Channel {
  readonly core: RealtimeCore;
  readonly connection: Connection;
  /** As on the wire, with `realtime:`. */
  readonly wireTopic: string;
  readonly name: string;
  readonly joinRef: string | null;
  readonly config: JoinConfig;
  readonly vsn: Vsn;
  token: VerifiedToken;
  policies: ChannelPolicies = unknownPolicies();
  presenceEnabled: boolean;
  /** The JSON of what it tracks, to tell a change from a repetition. */
  trackedPayload: string | null = null;
  /** Ids of replayed messages, which the live stream must not bring again. */
  replayedIds: ReadonlySet<string> = nothing;
  readonly exceedsPresenceCalls: (nowMs: number) => boolean;
  #topic: Topic | null = null;
  #closed = false;

  constructor(
    core: RealtimeCore,
    connection: Connection,
    fields: { wireTopic: string; joinRef: string | null; config: JoinConfig; token: VerifiedToken },
  ) {
    this.core = core;
    this.connection = connection;
    this.vsn = connection.vsn;
    this.wireTopic = fields.wireTopic;
    this.name = fields.wireTopic.slice('realtime:'.length);
    this.joinRef = fields.joinRef;
    this.config = fields.config;
    this.token = fields.token;
    this.presenceEnabled = fields.config.presenceEnabled;
    this.exceedsPresenceCalls = core.quota.clientPresenceWindow();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get topic(): Topic | null {
    return this.#topic;
  }

  /** Public channels read everything; private ones what their policies allowed at join. */
  get readsBroadcast(): boolean {
    return !this.config.isPrivate || this.policies.broadcast.read === true;
  }

  get readsPresence(): boolean {
    return !this.config.isPrivate || this.policies.presence.read === true;
  }

  get policySubject(): PolicySubject {
    return { topic: this.name, claims: this.token.claims, headers: this.connection.headers };
  }

  /** Asks what the token may read: presence only where the channel uses it. @throws PolicyFailure; nothing has changed then */
  async askRead(): Promise<void> {
    const readable = await this.core.policies.read(
      this.policySubject,
      this.presenceEnabled ? ['broadcast', 'presence'] : ['broadcast'],
    );
    this.policies.broadcast.read = readable.has('broadcast');
    if (this.presenceEnabled) this.policies.presence.read = readable.has('presence');
  }

  /** Asks what the token may write. @throws PolicyFailure; nothing has changed then */
  async askWrite(): Promise<void> {
    const writable = await this.core.policies.write(this.policySubject, ['broadcast', 'presence']);
    this.policies.broadcast.write = writable.has('broadcast');
    this.policies.presence.write = writable.has('presence');
  }

  /** Becomes a member of its topic: from here on it receives. */
  open(): void {
    this.#topic = this.core.topics.join(this);
  }

  /** A pre-framed message. */
  send(frame: Buffer): void {
    if (!this.#closed) this.connection.send(frame);
  }

  push(event: string, payload: unknown): void {
    const fields = { joinRef: this.joinRef, ref: null, topic: this.wireTopic, event };
    this.send(encodeMessage(this.vsn, fields, JSON.stringify(payload)));
  }

  reply(ref: string | null, status: 'ok' | 'error', response: unknown): void {
    this.send(encodeReply(this.vsn, { joinRef: this.joinRef, ref, topic: this.wireTopic }, status, response));
  }

  system(extension: 'system' | 'postgres_changes', status: 'ok' | 'error', message: string): void {
    this.push('system', { extension, status, message, channel: this.name });
  }

  /** The server ends the channel: `system` error, then `phx_close`. The client does not rejoin by itself. */
  shutDown(message: string): void {
    if (this.#closed) return;
    this.core.counters.channelsShutDown++;
    this.system('system', 'error', message);
    this.close('phx_close');
  }

  /**
   * Leaves the topic and everything that stands for it; idempotent. `phx_close` tells the client that it is
   * over, `phx_error` that the channel crashed and may be joined again; null says nothing (the socket is gone).
   */
  close(say: 'phx_close' | 'phx_error' | null): void {
    if (this.#closed) return;
    if (say) {
      const fields = { joinRef: this.joinRef, ref: this.joinRef, topic: this.wireTopic, event: say };
      this.send(encodeMessage(this.vsn, fields, '{}'));
    }
    this.#closed = true;
    this.connection.forget(this);
    this.core.changes.remove(this);
    const topic = this.#topic;
    if (!topic) return;
    this.#topic = null;
    const diff = topic.presence.untrack(this, this.config.presenceKey);
    this.core.topics.leave(topic, this);
    if (diff) fanOutPresence(this.core, topic, diff);
  }
}
