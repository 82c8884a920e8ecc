import type { RealtimeChannel, SupabaseClient } from '@supabase/supabase-js';
import { withDeadline } from '../../kernel/deadline.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { closeOfficialClient, openOfficialClient } from '../../target/supabase/official-client.ts';
import type { RawChannel } from '../../target/supabase/raw-channel.ts';
import { RawRealtimeSocket } from '../../target/supabase/raw-realtime.ts';
import { chatPayload, messageOfBody, messageOfId } from './chat-body.ts';

const chatEvent = 'message';

export interface MemberOptions {
  readonly supabaseUrl: string;
  readonly apiKey: string;
  /** Without one the member joins a public channel as the key's role. */
  readonly token: string | undefined;
  readonly topic: string;
  readonly tag: string;
  readonly room: number;
  readonly signal: AbortSignal;
  readonly onDelivery: (message: number) => void;
  readonly onAnswer: (message: number, ok: boolean, reason: string) => void;
  /** The server ended the channel, or the socket went away. */
  readonly onTrouble: (message: string) => void;
}

/** Somebody in a room: sends and receives. */
export interface ChatMember {
  /** @returns false when it is not in the room any more; nothing was sent then */
  send(message: number, userName: string): boolean;
  close(): Promise<void>;
}

/** Realtime answers a refused join after 5 s, the client's own push timeout is 10 s. */
const joinTimeoutMs = 12_000;

/** A raw socket: the mass. */
export async function openRawMember(options: MemberOptions): Promise<ChatMember> {
  const { supabaseUrl, apiKey, token, tag, room, signal } = options;
  const socket = await RawRealtimeSocket.open({ supabaseUrl, apiKey, signal });
  let channel: RawChannel;
  try {
    channel = await socket.join(options.topic, {
      isPrivate: token !== undefined,
      ack: true,
      ...(token === undefined ? {} : { accessToken: token }),
      onBroadcast: (event, body) => {
        if (event === chatEvent) options.onDelivery(messageOfBody(body, tag, room));
      },
      // the ref of a push is the number of its message
      onAck: (ref, ok, reason) => options.onAnswer(ref, ok, reason),
      onTrouble: options.onTrouble,
    });
  } catch (error) {
    await socket.close();
    throw error;
  }
  return {
    send(message, userName) {
      if (!channel.isJoined) return false;
      const body = Buffer.from(JSON.stringify(chatPayload(tag, room, message, userName)));
      channel.broadcast(chatEvent, body, message);
      return true;
    },
    close: () => socket.close(),
  };
}

/** An unmodified supabase-js client: the reference the mass must agree with. */
export async function openOfficialMember(options: MemberOptions): Promise<ChatMember> {
  const { supabaseUrl, apiKey, token, topic, tag, room } = options;
  const client = await openOfficialClient({
    supabaseUrl,
    apiKey,
    ...(token === undefined ? {} : { accessToken: token }),
  });
  let [isClosing, isJoined] = [false, true];
  const channel = client.channel(topic, {
    config: { private: token !== undefined, broadcast: { ack: true, self: false } },
  });
  channel.on('broadcast', { event: chatEvent }, ({ payload }: { payload?: { id?: unknown } }) => {
    options.onDelivery(messageOfId(payload?.id, tag, room));
  });
  channel.on('system', {}, (message: { status?: string; message?: string }) => {
    if (message.status === 'error') options.onTrouble(message.message ?? 'system error');
  });
  try {
    await subscribed(channel, client, topic, (status) => {
      isJoined = status === 'SUBSCRIBED';
      if (!isClosing && !isJoined) options.onTrouble(`supabase-js: ${status}`);
    });
  } catch (error) {
    await closeOfficialClient(client);
    throw error;
  }
  return {
    send(message, userName) {
      // outside of its channel supabase-js would fall back to the REST API, which is another transport
      if (!isJoined) return false;
      const payload = chatPayload(tag, room, message, userName);
      channel.send({ type: 'broadcast', event: chatEvent, payload }).then(
        (answer) => options.onAnswer(message, answer === 'ok', `supabase-js: ${answer}`),
        (error: unknown) => options.onAnswer(message, false, messageOf(error)),
      );
      return true;
    },
    async close() {
      isClosing = true;
      await closeOfficialClient(client);
    },
  };
}

/** Resolves at SUBSCRIBED; statuses after it go to `onLater`. */
export async function subscribed(
  channel: RealtimeChannel,
  client: SupabaseClient,
  topic: string,
  onLater: (status: string) => void,
): Promise<void> {
  const first = Promise.withResolvers<void>();
  let isSubscribed = false;
  channel.subscribe((status, error) => {
    if (isSubscribed) onLater(error ? `${status}: ${messageOf(error)}` : status);
    else if (status === 'SUBSCRIBED') {
      isSubscribed = true;
      first.resolve();
    } else {
      first.reject(
        new TrollfixError('TF-SUP-003', `supabase-js could not join ${topic}: ${status}`, {
          ...(error ? { why: messageOf(error) } : {}),
          details: { endpoint: client.realtime.endpointURL().split('?')[0] },
        }),
      );
    }
  });
  await withDeadline(first.promise, joinTimeoutMs, `the join of ${topic} by supabase-js`);
}
