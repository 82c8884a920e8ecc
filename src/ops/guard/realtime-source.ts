import type { SupabaseClient } from '@supabase/supabase-js';
import { aborted, sleep } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import { closeOfficialClient, openOfficialClient } from '../../target/supabase/official-client.ts';
import { type ChangeListener, type ChangeSource, redialed, type SourceSession } from './change-source.ts';
import type { SeatPair } from './guard-store.ts';

export interface RealtimeSourceOptions {
  readonly supabaseUrl: string;
  /** The service role (secret) key: row level security hides bans from everybody else. */
  readonly serviceRoleKey: string;
}

/** The tables of Realtime's publication that seats stand in; the outbox is not published, the sweep finds its rows. */
const tables = ['stream_seats', 'stream_bans'] as const;

/** Realtime says `SUBSCRIBED` at once and then takes up to ten seconds until changes flow (supabase.md). */
const flowMs = 20_000;

/** Supabase Realtime's Postgres Changes, for where nothing but the project's HTTPS address is reachable. */
export function realtimeSource(options: RealtimeSourceOptions): ChangeSource {
  return redialed('realtime', subscribeTo(options));
}

function subscribeTo({ supabaseUrl, serviceRoleKey }: RealtimeSourceOptions): SourceSession {
  return async (listener, connected, signal) => {
    let client: SupabaseClient | undefined;
    try {
      client = await openOfficialClient({ supabaseUrl, apiKey: serviceRoleKey });
      const { flows, lost } = subscribe(client, listener);
      const late = sleep(flowMs, signal).then(() => new Error(`no changes flow after ${flowMs} ms`), asError);
      const failed = await Promise.race([flows, lost, late]);
      if (failed !== undefined) return failed.message;
      connected();
      return messageOf(await Promise.race([lost, aborted(signal)]));
    } catch (error) {
      return messageOf(error);
    } finally {
      if (client !== undefined) await closeOfficialClient(client).catch(() => {}); // it is lost already
    }
  };
}

/** `flows` resolves when the server sends changes, `lost` with the reason when it will not, or no longer. */
function subscribe(
  client: SupabaseClient,
  listener: ChangeListener,
): { readonly flows: Promise<undefined>; readonly lost: Promise<Error> } {
  const lost = Promise.withResolvers<Error>();
  const flows = Promise.withResolvers<undefined>();
  let channel = client.channel('trollfix-guard');
  for (const table of tables) {
    const change = { event: '*', schema: 'public', table } as const;
    channel = channel.on('postgres_changes', change, (told) => listener.changed(pairOf(told)));
  }
  channel.on('system', {}, (message: unknown) => {
    const status = systemStatus(message);
    if (status === 'ok') flows.resolve(undefined);
    else if (status !== null) lost.resolve(new Error(status));
  });
  channel.subscribe((state, error) => {
    // joined again by itself it may have missed changes: a new session looks for them
    if (state !== 'SUBSCRIBED') lost.resolve(new Error(error?.message ?? `the channel is ${state}`));
  });
  return { flows: flows.promise, lost: lost.promise };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** `ok` once changes flow, the server's words when they will not, null for what is about something else. */
function systemStatus(message: unknown): string | null {
  if (!isObject(message)) return null;
  const { extension, status, message: text } = message;
  if (status === 'error') return String(text);
  return extension === 'postgres_changes' && status === 'ok' ? 'ok' : null;
}

function pairOf({
  new: after,
  old: before,
}: {
  readonly new: unknown;
  readonly old: unknown;
}): SeatPair | null {
  for (const row of [after, before]) {
    if (!isObject(row)) continue;
    const { stream_id: streamId, user_id: userId } = row;
    if (typeof streamId === 'string' && typeof userId === 'string') return { streamId, userId };
  }
  return null;
}
