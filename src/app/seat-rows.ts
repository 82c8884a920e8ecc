import type { SupabaseClient } from '@supabase/supabase-js';
import { isObject } from './json-object.ts';
import type { SeatFacts } from './seat-state.ts';

/** What `my_stream_seat` answers, or why it did not. */
export type SeatReading =
  | { readonly ok: true; readonly facts: SeatFacts; readonly serverMs: number }
  | { readonly ok: false; readonly message: string };

/** Reads the row and the ban of the signed-in user, in one statement. Never throws. */
export async function readSeat(
  supabase: SupabaseClient,
  asked: { readonly streamId: string; readonly userId: string },
  signal: AbortSignal,
): Promise<SeatReading> {
  try {
    const { data, error } = await supabase
      .rpc('my_stream_seat', { p_stream_id: asked.streamId })
      .abortSignal(signal);
    if (error) return { ok: false, message: error.message };
    if (!isObject(data)) return { ok: false, message: 'my_stream_seat gave no object' };
    // a client that is not signed in yet, or as somebody else, would read that this user has no seat and no ban
    if (data.user_id !== asked.userId) return { ok: false, message: 'not signed in as the user asked for' };
    const serverMs = Date.parse(text(data.now) ?? '');
    if (Number.isNaN(serverMs)) return { ok: false, message: 'my_stream_seat gave no time' };
    return { ok: true, serverMs, facts: { seat: seatOf(data.seat), ban: banOf(data.ban) } };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** A row of `stream_seats` as PostgREST or Realtime give it; null: none. */
export function seatOf(row: unknown): SeatFacts['seat'] {
  if (!isObject(row)) return null;
  return {
    role: text(row.role) ?? '',
    canPublish: row.can_publish === true,
    state: text(row.state) ?? '',
    grantedAt: text(row.granted_at) ?? '',
    expiresAt: text(row.expires_at),
    reason: text(row.reason),
  };
}

/** A row of `stream_bans`; null: none. */
export function banOf(row: unknown): SeatFacts['ban'] {
  return isObject(row) ? { reason: text(row.reason), until: text(row.expires_at) } : null;
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
