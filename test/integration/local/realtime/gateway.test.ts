import type { SupabaseClient } from '@supabase/supabase-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { type GatewayFixture, startGatewayFixture } from '../gateway-http/gateway-fixture.ts';

let f: GatewayFixture;

beforeAll(async () => {
  f = await startGatewayFixture();
  await f.owner.query(`
    create table public.todos (id bigint generated always as identity primary key,
      owner uuid not null default auth.uid(), title text);
    alter table public.todos enable row level security;
    create policy own on public.todos for all to authenticated using (owner = auth.uid());
    alter publication supabase_realtime add table public.todos;
    create policy members on realtime.messages for all to authenticated
      using (realtime.topic() = 'user:' || auth.uid()::text);`);
});

afterAll(() => f?.stop());

/** A client whose every subscription is up: signed up, on a public and a private channel, listening to todos. */
async function member(key: string, email: string) {
  const client = f.client(key);
  const { data, error } = await client.auth.signUp({ email, password: 'a long password' });
  if (error || !data.user) throw error ?? new Error('no user');
  const events: Record<string, unknown>[] = [];
  const room = client.channel('lobby', { config: { presence: { key: email } } });
  room.on('broadcast', { event: '*' }, ({ payload }) => events.push({ broadcast: payload }));
  room.on('presence', { event: 'sync' }, () => {});
  room.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'todos' }, ({ new: row }) =>
    events.push({ row }),
  );
  await new Promise<void>((resolve, reject) => {
    room.on('system', {}, ({ status, message }) =>
      status === 'ok' ? resolve() : reject(new Error(message)),
    );
    room.subscribe((status, problem) => (problem ? reject(problem) : status));
  });
  await room.track({ email });
  const own = client.channel(`user:${data.user.id}`, { config: { private: true } });
  const status = await new Promise((resolve) => own.subscribe(resolve));
  return { client, userId: data.user.id, room, events, status };
}

const goodbye = async (client: SupabaseClient) => {
  await client.removeAllChannels();
  await client.realtime.disconnect();
};

test.each(['anon', 'publishable'] as const)(
  'sign up, insert, hear: through the whole gateway with the %s key',
  async (kind) => {
    const ann = await member(f.keys[kind], `ann-${kind}@example.com`);
    const ben = await member(f.keys[kind], `ben-${kind}@example.com`);
    expect([ann.status, ben.status]).toEqual(['SUBSCRIBED', 'SUBSCRIBED']);
    await pollUntil(() => Object.keys(ben.room.presenceState()).length === 2 || undefined, {
      ms: 5_000,
      everyMs: 5,
      what: 'both present',
    });
    expect((await ann.client.from('todos').insert({ title: 'mine' })).error).toBeNull();
    expect((await ben.client.from('todos').insert({ title: 'his' })).error).toBeNull();
    await ann.room.send({ type: 'broadcast', event: 'hi', payload: { from: 'ann' } });
    await pollUntil(() => (ann.events.length === 1 && ben.events.length === 2) || undefined, {
      ms: 5_000,
      everyMs: 5,
      what: 'all events',
    });
    expect(ann.events).toMatchObject([{ row: { title: 'mine', owner: ann.userId } }]);
    expect(ben.events.find((event) => event.row)).toMatchObject({ row: { title: 'his', owner: ben.userId } });
    expect(ben.events.find((event) => event.broadcast)).toEqual({ broadcast: { from: 'ann' } });
    const notHers = ann.client.channel(`user:${ben.userId}`, { config: { private: true } });
    const refusal = await new Promise<string>((resolve) =>
      notHers.subscribe((_status, error) => resolve(error?.message ?? '')),
    );
    expect(refusal).toContain('Unauthorized');
    for (const { client } of [ann, ben]) await goodbye(client);
  },
);
