import type { SupabaseClient } from '@supabase/supabase-js';
import { isObject } from '../json-object.ts';

export interface LiveStream {
  readonly title: string;
  readonly isLive: boolean;
  readonly hlsUrl: string | null;
  /** Who receives the gifts. */
  readonly ownerId: string;
}

export interface Gift {
  readonly id: string;
  readonly name: string;
  readonly price: number;
}

export interface Standing {
  readonly rank: number;
  readonly userId: string;
  readonly name: string;
  readonly total: number;
}

/** The stream's row, or undefined when it cannot be read. */
export async function readStream(
  supabase: SupabaseClient,
  streamId: string,
): Promise<LiveStream | undefined> {
  const { data } = await supabase
    .from('streams')
    .select('title, status, hls_url, owner_id')
    .eq('id', streamId)
    .maybeSingle();
  if (!isObject(data)) return undefined;
  return {
    title: String(data.title),
    isLive: data.status === 'live',
    hlsUrl: typeof data.hls_url === 'string' ? data.hls_url : null,
    ownerId: String(data.owner_id),
  };
}

/** What can be given, the cheapest first. */
export async function readGifts(supabase: SupabaseClient): Promise<Gift[] | undefined> {
  const { data } = await supabase.from('gift_catalog').select('id, name, price').order('price');
  return data?.map(({ id, name, price }) => ({ id: String(id), name: String(name), price: Number(price) }));
}

/** Coins in the caller's wallet. */
export async function readBalance(supabase: SupabaseClient, userId: string): Promise<number | undefined> {
  const { data } = await supabase.from('wallets').select('balance').eq('user_id', userId).maybeSingle();
  return isObject(data) ? Number(data.balance) : undefined;
}

/** The first five of the stream's leaderboard. */
export async function readStandings(
  supabase: SupabaseClient,
  streamId: string,
): Promise<Standing[] | undefined> {
  const { data } = await supabase.rpc('get_leaderboard', { p_scope: `s:${streamId}` });
  const top: unknown = isObject(data) ? data.top : undefined;
  if (!Array.isArray(top)) return undefined;
  return top
    .filter(isObject)
    .slice(0, 5)
    .map((row) => ({
      rank: Number(row.rank),
      userId: String(row.user_id),
      name: String(row.display_name ?? row.username),
      total: Number(row.total),
    }));
}
