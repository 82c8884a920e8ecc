import type { SupabaseClient } from '@supabase/supabase-js';
import type { ChatMessage } from './chat-log.ts';
import { isObject } from './json-object.ts';

/** As the table has them, as `send_chat_message` answers, and as clients tell each other. */
const columns = 'id, stream_id, user_id, body, user_name, user_avatar, created_at';

/** As many as a newcomer reads before the talk has moved on. */
const historyMessages = 50;

/** As in the table's check. */
export const bodyCharsMax = 500;

/** Why a message was not sent, in a word that code can look at. */
export type ChatRefusalCode =
  | 'empty'
  | 'too_long'
  | 'too_fast'
  | 'banned'
  | 'signed_out'
  | 'stream_over'
  | 'unreachable'
  | 'refused';

type Stored =
  | { readonly ok: true; readonly message: ChatMessage; readonly row: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: ChatRefusalCode; readonly message: string };

/** PostgREST hands on the SQLSTATE of `send_chat_message`. */
const codes: Readonly<Record<string, ChatRefusalCode>> = {
  PT429: 'too_fast',
  PT403: 'banned',
  PT401: 'signed_out',
  PGRST301: 'signed_out',
  PGRST303: 'signed_out',
  PT404: 'stream_over',
  PT409: 'stream_over',
};

/** Stores a message. The same id and body again are the same message, so it may be tried again. Never throws. */
export async function storeMessage(
  supabase: SupabaseClient,
  message: { readonly id: string; readonly streamId: string; readonly body: string },
  signal: AbortSignal,
): Promise<Stored> {
  const unreachable = (why: string): Stored => ({ ok: false, code: 'unreachable', message: why });
  try {
    const { data, error, status } = await supabase
      .rpc('send_chat_message', { p_id: message.id, p_stream_id: message.streamId, p_body: message.body })
      .abortSignal(signal);
    if (error) {
      // no status: nothing came back; 5xx: the server did not get to decide
      if (status === 0 || status >= 500) return unreachable(error.message);
      return { ok: false, code: codes[error.code] ?? 'refused', message: error.message };
    }
    const stored = messageOf(data, message.streamId);
    if (stored === null || !isObject(data)) return unreachable('send_chat_message gave no message');
    return { ok: true, message: stored, row: data };
  } catch (error) {
    return unreachable(error instanceof Error ? error.message : String(error));
  }
}

/** The latest messages, in no particular order; null when they cannot be read. */
export async function readMessages(
  supabase: SupabaseClient,
  streamId: string,
  signal: AbortSignal,
): Promise<ChatMessage[] | null> {
  try {
    const { data, error } = await supabase
      .from('chat_messages')
      .select(columns)
      .eq('stream_id', streamId)
      .order('created_at', { ascending: false })
      .limit(historyMessages)
      .abortSignal(signal);
    if (error) return null;
    return data.flatMap((row) => messageOf(row, streamId) ?? []);
  } catch {
    return null;
  }
}

/**
 * A message from a row or from what another client said, or null when it is none of this stream.
 * Everything is checked: a broadcast is whatever its sender made it.
 */
export function messageOf(row: unknown, streamId: string): ChatMessage | null {
  if (!isObject(row) || row.stream_id !== streamId) return null;
  const { id, user_id: userId, body, user_name: name, user_avatar: avatar, created_at: sentAt } = row;
  if (typeof id !== 'string' || typeof userId !== 'string') return null;
  if (typeof body !== 'string' || body === '' || body.length > 2 * bodyCharsMax) return null;
  if (typeof name !== 'string' || name.length > 240) return null;
  if (typeof sentAt !== 'string' || Number.isNaN(Date.parse(sentAt))) return null;
  const avatarUrl = typeof avatar === 'string' && /^https?:\/\//.test(avatar) ? avatar : null;
  return { id, userId, name, avatarUrl, body, sentAt, state: 'stored' };
}
