import { withDeadline } from '../../kernel/deadline.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { encodeBroadcastPush, encodeText, isObject, type TextFrame } from './realtime-frames.ts';

interface PostgresChangesFilter {
  readonly event: '*' | 'INSERT' | 'UPDATE' | 'DELETE';
  readonly schema: string;
  readonly table: string;
  readonly filter?: string;
}

export interface RawChannelOptions {
  readonly isPrivate: boolean;
  /** Realtime answers each broadcast once it has been dispatched. */
  readonly ack: boolean;
  /** The user's JWT; without it the socket's key decides. */
  readonly accessToken?: string;
  readonly postgresChanges?: readonly PostgresChangesFilter[];
  /** `body` is a view into the frame and changes afterwards. */
  readonly onBroadcast?: (event: string, body: Buffer) => void;
  readonly onPostgresChange?: (data: Record<string, unknown>) => void;
  /** The answer to the broadcast sent under `ref`. */
  readonly onAck?: (ref: number, ok: boolean, reason: string) => void;
  /** A `system` message with status error, `phx_close`, `phx_error`, or the socket's end. */
  readonly onTrouble?: (message: string) => void;
}

interface Reply {
  readonly ok: boolean;
  readonly reason: string;
}

/** A joined topic of a {@link RawRealtimeSocket}. */
export class RawChannel {
  readonly topic: string;
  readonly joinRef: string;
  readonly #options: RawChannelOptions;
  readonly #send: (data: string | Buffer) => void;
  readonly #joined = Promise.withResolvers<Reply>();
  readonly #changesFlow = Promise.withResolvers<void>();
  #open = false;

  constructor(
    topic: string,
    joinRef: string,
    options: RawChannelOptions,
    send: (data: string | Buffer) => void,
  ) {
    this.topic = topic;
    this.joinRef = joinRef;
    this.#options = options;
    this.#send = send;
    // nobody may be waiting for it when the channel ends
    this.#changesFlow.promise.catch(() => {});
  }

  get isJoined(): boolean {
    return this.#open;
  }

  join(): Promise<Reply> {
    const { isPrivate, ack, accessToken, postgresChanges = [] } = this.#options;
    const payload = {
      config: {
        broadcast: { ack, self: false },
        presence: { key: '', enabled: false },
        postgres_changes: postgresChanges,
        private: isPrivate,
      },
      ...(accessToken === undefined ? {} : { access_token: accessToken }),
    };
    const { topic, joinRef } = this;
    this.#send(encodeText({ joinRef, ref: joinRef, topic, event: 'phx_join', payload }));
    return this.#joined.promise;
  }

  /**
   * Waits for `system … Subscribed to PostgreSQL`: only then do changes flow; the join reply alone means nothing
   * (supabase-js#1599).
   * @throws TF-SUP-003 when it does not come within `ms`, or an error comes instead
   */
  async waitForPostgresChanges(ms: number): Promise<void> {
    try {
      await withDeadline(this.#changesFlow.promise, ms, 'the subscription to PostgreSQL');
    } catch (error) {
      if (error instanceof TrollfixError) throw error;
      throw new TrollfixError('TF-SUP-003', `postgres_changes of ${this.topic} were not confirmed`, {
        cause: error,
        hint: 'Check that the table is in the publication supabase_realtime.',
      });
    }
  }

  /**
   * Sends a broadcast as supabase-js does on serializer 2.0.0: binary kind 3 with a JSON body.
   * @param ref any number not in use on this socket; comes back in `onAck`
   */
  broadcast(event: string, body: Buffer, ref: number): void {
    const { topic, joinRef } = this;
    this.#send(encodeBroadcastPush({ joinRef, ref: String(ref), topic, event }, body));
  }

  receiveBroadcast(event: string, body: Buffer): void {
    this.#options.onBroadcast?.(event, body);
  }

  receive(frame: TextFrame): void {
    const { event, payload } = frame;
    if (event === 'phx_reply') this.#receiveReply(frame);
    else if (event === 'broadcast') {
      // a sender on serializer 1.0.0 or the REST API: the body comes as JSON in a text frame
      this.receiveBroadcast(String(payload.event), Buffer.from(JSON.stringify(payload.payload ?? null)));
    } else if (event === 'postgres_changes') {
      if (isObject(payload.data)) this.#options.onPostgresChange?.(payload.data);
    } else if (event === 'system') this.#receiveSystem(payload);
    else if (event === 'phx_close' || event === 'phx_error') this.lose(event);
  }

  lose(why: string): void {
    const wasOpen = this.#open;
    this.#open = false;
    this.#joined.resolve({ ok: false, reason: why });
    this.#changesFlow.reject(new TrollfixError('TF-SUP-003', `channel ${this.topic}: ${why}`));
    if (wasOpen) this.#options.onTrouble?.(why);
  }

  #receiveReply({ ref, payload }: TextFrame): void {
    const ok = payload.status === 'ok';
    const response = isObject(payload.response) ? payload.response : {};
    const reason = ok ? '' : String(response.reason ?? JSON.stringify(payload.response ?? payload));
    if (ref === this.joinRef) {
      this.#open = ok;
      this.#joined.resolve({ ok, reason });
    } else if (ref !== null) this.#options.onAck?.(Number(ref), ok, reason);
  }

  #receiveSystem(payload: Record<string, unknown>): void {
    const message = String(payload.message ?? '');
    if (payload.status === 'ok') {
      if (payload.extension === 'postgres_changes') this.#changesFlow.resolve();
      return;
    }
    if (payload.extension === 'postgres_changes') {
      this.#changesFlow.reject(new TrollfixError('TF-SUP-003', `postgres_changes refused: ${message}`));
    }
    this.#options.onTrouble?.(message);
  }
}
