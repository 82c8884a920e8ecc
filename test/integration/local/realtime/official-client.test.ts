import { createClient, type RealtimeChannel, type SupabaseClient } from '@supabase/supabase-js';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';
import { mintUser, publishableKey, type RealtimeServer, startRealtimeServer } from './realtime-server.ts';

const alice = '00000000-0000-4000-8000-00000000000a';
const bob = '00000000-0000-4000-8000-00000000000b';

let postgres: TestPostgres;
let server: RealtimeServer;
let database: pg.Client;
const clients: SupabaseClient[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = new pg.Client(postgres.databaseUrl);
  await database.connect();
  // as a project's migration would, as role postgres
  await database.query(`
    create policy read_own_room on realtime.messages for select to authenticated
      using (realtime.topic() = 'room:' || (current_setting('request.jwt.claims', true)::jsonb ->> 'sub'));
    create policy read_lobby on realtime.messages for select to authenticated using (realtime.topic() = 'lobby');
    create policy write_own_room on realtime.messages for insert to authenticated
      with check (realtime.topic() = 'room:' || (current_setting('request.jwt.claims', true)::jsonb ->> 'sub'));`);
  server = await startRealtimeServer(postgres.adminUrl);
});

afterEach(async () => {
  for (const client of clients.splice(0)) {
    await client.removeAllChannels();
    await client.realtime.disconnect();
  }
});

afterAll(async () => {
  await server?.stop();
  await database?.end();
  await postgres?.stop();
});

type Setup = { vsn: '1.0.0' | '2.0.0'; key: 'legacy' | 'publishable' };
const setups: Setup[] = [
  { vsn: '1.0.0', key: 'legacy' },
  { vsn: '1.0.0', key: 'publishable' },
  { vsn: '2.0.0', key: 'legacy' },
  { vsn: '2.0.0', key: 'publishable' },
];

async function clientOf(setup: Setup, userId?: string): Promise<SupabaseClient> {
  const token = userId ? await mintUser(userId) : null;
  const client = createClient(server.url, setup.key === 'legacy' ? server.anonKey : publishableKey, {
    realtime: { vsn: setup.vsn },
    ...(token ? { accessToken: async () => token } : {}),
  });
  clients.push(client);
  return client;
}

/** Resolves with the first status the channel reports, and its error. */
function subscribe(channel: RealtimeChannel): Promise<string> {
  return new Promise((resolve) => {
    channel.subscribe((status, error) => resolve(error ? `${status} ${error.message}` : status));
  });
}

type Received = { event: string; payload: unknown };

function collect(channel: RealtimeChannel): Received[] {
  const received: Received[] = [];
  channel.on('broadcast', { event: '*' }, ({ event, payload }) => received.push({ event, payload }));
  return received;
}

const until = (what: string, holds: () => boolean) =>
  pollUntil(() => holds() || undefined, { ms: 5_000, everyMs: 5, what });

describe.each(setups)('supabase-js with vsn $vsn and a $key key', (setup) => {
  test('broadcast: others hear it, the sender only with self, ack answers', async () => {
    const [one, two] = [await clientOf(setup), await clientOf(setup)];
    const sender = one.channel('talk', { config: { broadcast: { ack: true } } });
    const echo = one.channel('talk2', { config: { broadcast: { ack: true, self: true } } });
    const listener = two.channel('talk');
    const [heardBySender, echoed, heard] = [collect(sender), collect(echo), collect(listener)];
    for (const channel of [sender, echo, listener]) expect(await subscribe(channel)).toBe('SUBSCRIBED');
    expect(await sender.send({ type: 'broadcast', event: 'hi', payload: { text: 'ä€😀' } })).toBe('ok');
    expect(await echo.send({ type: 'broadcast', event: 'me', payload: { n: 1 } })).toBe('ok');
    await until('both broadcasts', () => heard.length === 1 && echoed.length === 1);
    expect(heard).toEqual([{ event: 'hi', payload: { text: 'ä€😀' } }]);
    expect(echoed).toEqual([{ event: 'me', payload: { n: 1 } }]);
    expect(heardBySender).toEqual([]);
  });

  test('broadcast over REST reaches everybody, in the batch and the single form', async () => {
    const [one, two] = [await clientOf(setup), await clientOf(setup)];
    const listener = two.channel('rest');
    const heard = collect(listener);
    expect(await subscribe(listener)).toBe('SUBSCRIBED');
    expect(await one.channel('rest').httpSend('single', { n: 1 })).toMatchObject({ success: true });
    const batch = await fetch(`${server.url}/realtime/v1/api/broadcast`, {
      method: 'POST',
      headers: { apikey: server.anonKey, 'content-type': 'application/json' },
      body: JSON.stringify({
        messages: [
          { topic: 'rest', event: 'batch', payload: { n: 2 } },
          { topic: 'rest', event: 'secret', payload: {}, private: true },
        ],
      }),
    });
    expect([batch.status, await batch.text()]).toEqual([202, '']);
    await until('both', () => heard.length === 2);
    expect(heard).toEqual([
      { event: 'single', payload: { n: 1 } },
      { event: 'batch', payload: { n: 2 } },
    ]);
  });

  test('presence: state, join, update, leave', async () => {
    const [one, two] = [await clientOf(setup), await clientOf(setup)];
    const here = one.channel('crowd', { config: { presence: { key: 'ann' } } });
    const there = two.channel('crowd', { config: { presence: { key: 'ben' } } });
    // a presence listener is what makes the client ask for the state at join
    for (const channel of [here, there]) channel.on('presence', { event: 'sync' }, () => {});
    expect(await subscribe(here)).toBe('SUBSCRIBED');
    expect(await here.track({ mood: 'good' })).toBe('ok');
    expect(await subscribe(there)).toBe('SUBSCRIBED');
    await until('the state', () => there.presenceState().ann?.length === 1);
    expect(await here.track({ mood: 'bad' })).toBe('ok');
    await until('the update', () => JSON.stringify(there.presenceState().ann).includes('bad'));
    expect(there.presenceState().ann).toMatchObject([{ mood: 'bad' }]);
    expect(await there.track({ mood: 'new' })).toBe('ok');
    await until('both', () => Object.keys(here.presenceState()).sort().join() === 'ann,ben');
    await one.removeChannel(here);
    await until('the leave', () => Object.keys(there.presenceState()).join() === 'ben');
  });

  test('private channels follow the policies on realtime.messages', async () => {
    const [one, two] = [await clientOf(setup, alice), await clientOf(setup, bob)];
    const isPrivate = { config: { private: true, broadcast: { ack: true, self: true } } };
    const own = one.channel(`room:${alice}`, isPrivate);
    const heard = collect(own);
    expect(await subscribe(own)).toBe('SUBSCRIBED');
    expect(await own.send({ type: 'broadcast', event: 'e', payload: { n: 1 } })).toBe('ok');
    await until('own message', () => heard.length === 1);
    const denied = 'Unauthorized: You do not have permissions to read from this Channel topic';
    expect(await subscribe(two.channel(`room:${alice}`, isPrivate))).toContain(denied);
    // the public channel of the same name is another topic
    await two.removeAllChannels();
    const outside = two.channel(`room:${alice}`);
    const heardOutside = collect(outside);
    expect(await subscribe(outside)).toBe('SUBSCRIBED');
    await own.send({ type: 'broadcast', event: 'e', payload: { n: 2 } });
    await until('second own message', () => heard.length === 2);
    await outside.httpSend('marker', {});
    await until('the marker', () => heardOutside.some(({ event }) => event === 'marker'));
    expect(heardOutside.map(({ event }) => event)).toEqual(['marker']);
  });

  test('reading without writing: the send is dropped without an answer', async () => {
    const [one, two] = [await clientOf(setup, alice), await clientOf(setup, bob)];
    const config = { private: true, broadcast: { ack: true } };
    const writer = one.channel('lobby', { config });
    const reader = two.channel('lobby', { config });
    const heard = collect(reader);
    for (const channel of [writer, reader]) expect(await subscribe(channel)).toBe('SUBSCRIBED');
    const sent = writer.send({ type: 'broadcast', event: 'x', payload: {} }, { timeout: 300 });
    expect(await sent).toBe('timed out');
    await database.query(`select realtime.send('{"from":"db"}', 'y', 'lobby', true)`);
    await until('the database broadcast', () => heard.length === 1);
    expect(heard[0]).toMatchObject({ event: 'y', payload: { from: 'db' } });
  });
});

test('vsn 2.0.0 carries bytes, which 1.0.0 receivers do not get', async () => {
  const setup: Setup = { vsn: '2.0.0', key: 'publishable' };
  const [one, two] = [await clientOf(setup), await clientOf(setup)];
  const old = await clientOf({ ...setup, vsn: '1.0.0' });
  const [sender, receiver, oldReceiver] = [one, two, old].map((client) => client.channel('bytes'));
  if (!sender || !receiver || !oldReceiver) throw new Error('three clients give three channels');
  const [heard, heardOld] = [collect(receiver), collect(oldReceiver)];
  for (const channel of [sender, receiver, oldReceiver]) expect(await subscribe(channel)).toBe('SUBSCRIBED');
  const bytes = new Uint8Array([0, 255, 1, 128]);
  await sender.send({ type: 'broadcast', event: 'bytes', payload: bytes.buffer });
  await sender.send({ type: 'broadcast', event: 'json', payload: { n: 1 } });
  await until('all', () => heard.length === 2 && heardOld.length === 1);
  expect(new Uint8Array(heard[0]?.payload as ArrayBuffer)).toEqual(bytes);
  expect(heardOld).toEqual([{ event: 'json', payload: { n: 1 } }]);
});

test('replay brings stored broadcasts of a private channel, oldest first and once', async () => {
  const topic = `room:${alice}`;
  const sinceMs = Date.now() - 60_000;
  for (const n of [1, 2, 3])
    await database.query(`select realtime.send($1, 'old', $2, true)`, [{ n }, topic]);
  const client = await clientOf({ vsn: '2.0.0', key: 'legacy' }, alice);
  const channel = client.channel(topic, {
    config: { private: true, broadcast: { replay: { since: sinceMs, limit: 2 } } },
  });
  const heard: unknown[] = [];
  channel.on('broadcast', { event: 'old' }, ({ payload, meta }) => heard.push([payload.n, meta?.replayed]));
  expect(await subscribe(channel)).toBe('SUBSCRIBED');
  await until('the replay', () => heard.length === 2);
  expect(heard).toEqual([
    [2, true],
    [3, true],
  ]);
});

test('broadcast_changes in a trigger reaches a private channel', async () => {
  await database.query(`
    create table public.boards (id int primary key, title text);
    create function public.tell() returns trigger language plpgsql security definer as $$
    begin
      perform realtime.broadcast_changes('lobby', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
      return null;
    end $$;
    create trigger tell after insert or update or delete on public.boards for each row execute function public.tell();`);
  const client = await clientOf({ vsn: '2.0.0', key: 'legacy' }, bob);
  const channel = client.channel('lobby', { config: { private: true } });
  const heard = collect(channel);
  expect(await subscribe(channel)).toBe('SUBSCRIBED');
  await database.query(`insert into public.boards values (1, 'a')`);
  await until('the change', () => heard.length === 1);
  expect(heard[0]).toMatchObject({
    event: 'INSERT',
    payload: { record: { id: 1, title: 'a' }, old_record: null, operation: 'INSERT', table: 'boards' },
  });
});
