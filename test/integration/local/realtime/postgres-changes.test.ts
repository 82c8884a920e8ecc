import { createClient } from '@supabase/supabase-js';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';
import { type RawMessage, RawSocket } from './raw-socket.ts';
import { mintJwt, mintUser, type RealtimeServer, startRealtimeServer } from './realtime-server.ts';

const alice = '00000000-0000-4000-8000-00000000000a';
const bob = '00000000-0000-4000-8000-00000000000b';

let postgres: TestPostgres;
let server: RealtimeServer;
let database: pg.Client;
let sockets: RawSocket[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = new pg.Client(postgres.databaseUrl);
  database.on('error', () => {});
  await database.connect();
  await database.query(`
    create table public.notes (
      id bigint generated always as identity primary key, owner uuid, body text, kind int, secret text, at timestamptz
    );
    alter table public.notes enable row level security;
    create policy own on public.notes for select to authenticated
      using (owner::text = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
    revoke select on public.notes from authenticated;
    grant select (id, owner, body, kind, at) on public.notes to authenticated;
    create table public.feed (id int primary key, body text, big text);
    create table public.keyless (id int);
    create table public.silent (id int primary key);
    alter publication supabase_realtime add table public.notes, public.feed, public.keyless;`);
  server = await startRealtimeServer(postgres.adminUrl);
});

beforeEach(() => {
  sockets = [];
});

afterEach(() => {
  for (const socket of sockets) socket.close();
});

afterAll(async () => {
  await server?.stop();
  await database?.end().catch(() => {});
  await postgres?.stop();
});

interface Listener {
  readonly socket: RawSocket;
  readonly topic: string;
  /** `data` of every change received so far. */
  changes(): Record<string, unknown>[];
  untilChanges(count: number): Promise<Record<string, unknown>[]>;
}

const isChange = (message: RawMessage) => message.event === 'postgres_changes';

async function listen(
  changes: Record<string, unknown>[],
  options: { token?: string; on?: RealtimeServer; topic?: string; expect?: 'ok' | 'error' } = {},
): Promise<Listener> {
  const on = options.on ?? server;
  const topic = options.topic ?? 'changes';
  const socket = await RawSocket.open(on.wsUrl, on.anonKey);
  sockets.push(socket);
  const reply = await socket.join(topic, { postgres_changes: changes }, options.token);
  expect(reply.status).toBe('ok');
  await socket.wait((m) => m.event === 'system', 'the subscription');
  expect(socket.messages.find((m) => m.event === 'system')?.payload.status).toBe(options.expect ?? 'ok');
  const received = () =>
    // the payload of postgres_changes: {ids, data}
    socket.messages.filter(isChange).map((m) => m.payload.data as Record<string, unknown>);
  return {
    socket,
    topic,
    changes: received,
    untilChanges: (count) =>
      pollUntil(() => (received().length >= count ? received() : undefined), {
        ms: 10_000,
        everyMs: 5,
        what: `${count} changes`,
      }),
  };
}

const notes = (extra: Record<string, unknown> = {}) => [
  { event: '*', schema: 'public', table: 'notes', ...extra },
];
const feed = (extra: Record<string, unknown> = {}) => [
  { event: '*', schema: 'public', table: 'feed', ...extra },
];

const insertNote = (owner: string, body: string, kind = 1) =>
  database.query('insert into public.notes (owner, body, kind, secret, at) values ($1, $2, $3, $4, now())', [
    owner,
    body,
    kind,
    'hidden',
  ]);

describe('row security', () => {
  test('leak test: over many writes nobody ever receives the row of another user', async () => {
    const users = await Promise.all(
      [alice, bob].map(async (id) => ({
        id,
        listener: await listen(notes(), { token: await mintUser(id) }),
      })),
    );
    const anon = await listen(notes());
    for (let i = 0; i < 60; i++) await insertNote(i % 2 === 0 ? alice : bob, `note ${i}`);
    await database.query(`update public.notes set body = body || '!' where kind = 1`);
    for (const { id, listener } of users) {
      const changes = await listener.untilChanges(60);
      expect(changes.length).toBe(60);
      expect(new Set(changes.map((c) => (c.record as { owner: string }).owner))).toEqual(new Set([id]));
      expect(new Set(changes.map((c) => c.type))).toEqual(new Set(['INSERT', 'UPDATE']));
    }
    expect(anon.changes()).toEqual([]);
  });

  test('a column the role may not select is in no part of the event', async () => {
    const listener = await listen(notes(), { token: await mintUser(alice) });
    await insertNote(alice, 'x');
    const [change] = await listener.untilChanges(1);
    expect(Object.keys(change?.record as object)).toEqual(['id', 'owner', 'body', 'kind', 'at']);
    expect(change?.columns).toContainEqual({ name: 'id', type: 'int8' });
    expect(JSON.stringify(change)).not.toMatch(/secret|hidden/);
  });

  test('DELETE shows the key and nothing else, and is filtered on the old key', async () => {
    const listener = await listen(notes({ event: 'DELETE' }), { token: await mintUser(bob) });
    const byBody = await listen(notes({ event: 'DELETE', filter: 'body=eq.gone' }), {
      token: await mintUser(bob),
    });
    await insertNote(alice, 'gone');
    const deleted = await database.query(`delete from public.notes where body = 'gone' returning id::int`);
    const [change] = await listener.untilChanges(1);
    expect(change).toMatchObject({ type: 'DELETE', old_record: { id: deleted.rows[0].id } });
    expect(Object.keys(change?.old_record as object)).toEqual(['id']);
    expect(change).not.toHaveProperty('record');
    expect(byBody.changes()).toEqual([]);
  });

  test('DELETE with the whole old row in the stream still shows only the key', async () => {
    const listener = await listen(notes({ event: 'DELETE' }), { token: await mintUser(bob) });
    await insertNote(alice, 'private words');
    await database.query('alter table public.notes replica identity full');
    await database.query(`delete from public.notes where body = 'private words'`);
    await database.query('alter table public.notes replica identity default');
    const [change] = await listener.untilChanges(1);
    expect(Object.keys(change?.old_record as object)).toEqual(['id']);
  });

  test('rights are checked once per distinct claims, not per subscriber', async () => {
    const token = await mintUser(alice);
    const before = server.realtime.stats().rowSecurityChecks;
    const listeners = await Promise.all(
      Array.from({ length: 8 }, (_, i) => listen(notes({ event: 'INSERT' }), { token, topic: `t${i}` })),
    );
    await insertNote(alice, 'shared');
    for (const listener of listeners) await listener.untilChanges(1);
    expect(server.realtime.stats().rowSecurityChecks - before).toBe(1);
  });

  test('a new access token changes what is received', async () => {
    const listener = await listen(notes({ event: 'INSERT' }), { token: await mintUser(alice) });
    listener.socket.send('realtime:changes', 'access_token', { access_token: await mintUser(bob) });
    await pollUntil(() => listener.socket.systems('changes').length === 2 || undefined, {
      ms: 5_000,
      everyMs: 5,
      what: 'the second subscription',
    });
    await insertNote(alice, 'not any more');
    await insertNote(bob, 'now mine');
    const changes = await listener.untilChanges(1);
    expect(changes.map((c) => (c.record as { body: string }).body)).toEqual(['now mine']);
  });

  test('a policy that fails hides the row and leaves the others alone', async () => {
    await database.query(`
      create table public.touchy (id int primary key);
      alter table public.touchy enable row level security;
      create policy fails on public.touchy for select to authenticated
        using ((current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid is not null);
      alter publication supabase_realtime add table public.touchy;`);
    const touchy = [{ event: '*', schema: 'public', table: 'touchy' }];
    const broken = await listen(touchy, { token: await mintUser('no uuid') });
    const whole = await listen(touchy, { token: await mintUser(alice) });
    await database.query('insert into public.touchy values (1)');
    await whole.untilChanges(1);
    expect(broken.changes()).toEqual([]);
  });
});

describe('without row security', () => {
  test.each([
    ['id=eq.2', [2]],
    ['id=gt.1,id=lt.4', [2, 3]],
    ['id=in.(1,4)', [1, 4]],
    ['id=not.in.(1,4)', [2, 3]],
    ['body=like.b%', [2, 4]],
    ['body=imatch.^B', [2, 4]],
    ['body=is.null', [3]],
    ['body=isdistinct.b2', [1, 3, 4]],
    ['body=lt.b2', [1]],
  ])('filter %s', async (filter, expected) => {
    const listener = await listen(feed({ event: 'INSERT', filter }));
    const all = await listen(feed({ event: 'INSERT' }));
    await database.query(`delete from public.feed`);
    await database.query(`insert into public.feed values (1, 'a1'), (2, 'b2'), (3, null), (4, 'b4')`);
    await all.untilChanges(4);
    await listener.untilChanges(expected.length);
    expect(listener.changes().map((c) => (c.record as { id: number }).id)).toEqual(expected);
  });

  test('replica identity full brings the whole old row; default only the key', async () => {
    await database.query(`insert into public.feed values (50, 'before') on conflict do nothing`);
    const listener = await listen(feed());
    await database.query(`update public.feed set body = 'middle' where id = 50`);
    await database.query('alter table public.feed replica identity full');
    await database.query(`update public.feed set body = 'after' where id = 50`);
    await database.query('delete from public.feed where id = 50');
    await database.query('alter table public.feed replica identity default');
    const changes = await listener.untilChanges(3);
    expect(changes.map((c) => [c.old_record, c.record])).toEqual([
      [{ id: 50 }, { id: 50, body: 'middle', big: null }],
      [
        { id: 50, body: 'middle', big: null },
        { id: 50, body: 'after', big: null },
      ],
      [{ id: 50, body: 'after', big: null }, undefined],
    ]);
  });

  test('select limits the columns but keeps the key', async () => {
    const listener = await listen(feed({ select: ['body'] }));
    await database.query(`insert into public.feed values (60, 'b', 'big')`);
    const [change] = await listener.untilChanges(1);
    expect(change?.record).toEqual({ id: 60, body: 'b' });
  });

  test('more than 1 MiB: only the short values, and the error that says so', async () => {
    const listener = await listen(feed());
    await database.query(`insert into public.feed values (70, 'short', repeat('x', 1100000))`);
    const [change] = await listener.untilChanges(1);
    expect(change).toMatchObject({
      record: { id: 70, body: 'short' },
      errors: ['Error 413: Payload Too Large'],
    });
    expect(change?.record).not.toHaveProperty('big');
  });

  test('a table without a primary key gives an error event', async () => {
    const listener = await listen([{ event: '*', schema: 'public', table: 'keyless' }]);
    await database.query('insert into public.keyless values (1)');
    const [change] = await listener.untilChanges(1);
    expect(change?.errors).toEqual(['Error 400: Bad Request, no primary key']);
  });

  test('two entries of one channel that both match come as one event with both ids', async () => {
    const listener = await listen([...feed({ event: 'INSERT' }), ...feed({ filter: 'id=gt.0' })]);
    await database.query(`insert into public.feed values (80, 'x')`);
    await listener.untilChanges(1);
    const events = listener.socket.messages.filter(isChange);
    expect(events.map((event) => (event.payload.ids as number[]).length)).toEqual([2]);
  });
});

describe('refused subscriptions', () => {
  test.each([
    ['an unknown operator', feed({ filter: 'id=foo.1' }), 'Error parsing `filter` params: ["foo", "1"]'],
    ['an unknown column', feed({ filter: 'nope=eq.1' }), 'invalid column for filter nope'],
    ['a value of another type', feed({ filter: 'id=eq.abc' }), 'ERROR 22P02 (invalid_text_representation)'],
    [
      'a bad regular expression',
      feed({ filter: 'body=match.(' }),
      'invalid regular expression for match filter',
    ],
    ['a pattern on a number', feed({ filter: 'id=like.1%' }), 'requires a text-compatible column type'],
    [
      'a table that is not published',
      [{ event: '*', schema: 'public', table: 'silent' }],
      'Please check Realtime is enabled',
    ],
    [
      'SQL in a name',
      [{ event: '*', schema: 'public', table: `feed"; drop table feed; --` }],
      'Please check Realtime',
    ],
  ])('%s: the channel stays joined and is told', async (_what, changes, words) => {
    const listener = await listen(changes, { expect: 'error' });
    expect(listener.socket.systems('changes')[0]).toContain(words);
    expect(
      (await listener.socket.call('realtime:changes', 'presence', { event: 'track', payload: {} })).payload
        .status,
    ).toBe('ok');
  });

  test('a filter on a column the role may not select', async () => {
    const listener = await listen(notes({ filter: 'secret=eq.hidden' }), {
      token: await mintUser(alice),
      expect: 'error',
    });
    expect(listener.socket.systems('changes')[0]).toContain('invalid column for filter secret');
  });

  test('a role that does not exist', async () => {
    const token = await mintJwt({ role: 'nobody_here', sub: alice });
    const listener = await listen(feed(), { token, expect: 'error' });
    expect(listener.socket.systems('changes')[0]).toContain('nobody_here');
  });
});

test('the official client accepts the join reply and casts the record', async () => {
  const client = createClient(server.url, server.anonKey);
  const received: unknown[] = [];
  const subscribed = new Promise<void>((resolve) => {
    client
      .channel('official')
      .on(
        'postgres_changes',
        { event: 'INSERT', schema: 'public', table: 'feed', filter: 'id=eq.90' },
        (change) => received.push(change),
      )
      .on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'feed' }, () => {})
      .on('system', {}, (message) => {
        if (message.extension === 'postgres_changes' && message.status === 'ok') resolve();
      })
      .subscribe();
  });
  await subscribed;
  await database.query(`insert into public.feed values (90, 'yes'), (91, 'no')`);
  await pollUntil(() => received.length > 0 || undefined, { ms: 5_000, everyMs: 5, what: 'the change' });
  expect(received).toMatchObject([
    { eventType: 'INSERT', new: { id: 90, body: 'yes' }, old: {}, errors: null },
  ]);
  await client.removeAllChannels();
});

describe('a commit that is streamed before it is visible', () => {
  const held = async (run: () => Promise<void>) => {
    const admin = new pg.Client(postgres.adminUrl);
    const probe = new pg.Client(postgres.adminUrl);
    await admin.connect();
    try {
      // a standby that never comes: commits are flushed and streamed, but stay invisible until it is given up
      await admin.query(`alter system set synchronous_standby_names = 'nosuch'`);
      await admin.query('select pg_reload_conf()');
      // the checkpointer tells the other backends, so `show` proves nothing: a commit that waits does
      probe.on('error', () => {}); // its connection ends with the test
      await probe.connect();
      const commit = () =>
        void probe.query(`select pg_logical_emit_message(true, 'held', '')`).then(commit, () => {});
      commit();
      await pollUntil(
        async () =>
          (await admin.query(`select from pg_stat_activity where wait_event = 'SyncRep'`)).rowCount ||
          undefined,
        { ms: 5_000, everyMs: 10, what: 'a commit that waits' },
      );
      await run();
    } finally {
      await admin.query('alter system reset synchronous_standby_names');
      await admin.query('select pg_reload_conf()');
      await probe.end();
      await admin.end();
    }
  };

  test('is delivered under row security once it is; a gateway that does not wait loses it', async () => {
    const mutant = await startRealtimeServer(postgres.adminUrl, { visibilityWaitMs: 0 });
    const token = await mintUser(alice);
    const [waiting, hasty] = [await listen(notes(), { token }), await listen(notes(), { token, on: mutant })];
    const checksBefore = mutant.realtime.stats().rowSecurityChecks;
    let written: Promise<unknown> = Promise.resolve();
    await held(async () => {
      written = insertNote(alice, 'held back');
      await pollUntil(() => mutant.realtime.stats().rowSecurityChecks > checksBefore || undefined, {
        ms: 5_000,
        everyMs: 5,
        what: 'the hasty check',
      });
      expect(waiting.changes()).toEqual([]);
    });
    await written;
    await insertNote(alice, 'marker');
    const bodies = (changes: Record<string, unknown>[]) =>
      changes.map((c) => (c.record as { body: string }).body);
    expect(bodies(await waiting.untilChanges(2))).toEqual(['held back', 'marker']);
    expect(bodies(await hasty.untilChanges(1))).toEqual(['marker']);
    expect(server.realtime.stats().visibilityTimeouts).toBe(0);
    await mutant.stop();
  });
});

test('a publication that is dropped and made again is streamed again', async () => {
  const watch = async (id: number) => {
    const listener = await listen(feed());
    await database.query('insert into public.feed values ($1)', [id]);
    const [change] = await listener.untilChanges(1);
    expect(change?.record).toMatchObject({ id });
  };
  // as Supabase's own guides do it, in one transaction
  await database.query(`begin; drop publication supabase_realtime;
    create publication supabase_realtime for table public.feed, public.notes; commit`);
  await watch(95);
  await database.query('drop publication supabase_realtime');
  const { replicationReconnects } = server.realtime.stats();
  await database.query(`insert into public.feed values (96)`); // the stream breaks here
  // until it has, what is written next is streamed into the broken slot and lost with it
  await pollUntil(() => server.realtime.stats().replicationReconnects > replicationReconnects || undefined, {
    ms: 10_000,
    everyMs: 5,
    what: 'the break of the stream',
  });
  const missing = await listen(feed(), { expect: 'error' });
  expect(missing.socket.systems('changes')[0]).toContain('Please check Realtime is enabled');
  await database.query('create publication supabase_realtime for table public.feed, public.notes');
  await watch(97);
});

test('a restart of PostgreSQL: the stream comes back and subscribers are told', async () => {
  const listener = await listen(feed());
  await postgres.service.restart(AbortSignal.timeout(60_000));
  await pollUntil(() => listener.socket.systems('changes').length >= 2 || undefined, {
    ms: 20_000,
    everyMs: 20,
    what: 'the subscription after the restart',
  });
  expect(new Set(listener.socket.systems('changes'))).toEqual(new Set(['ok: Subscribed to PostgreSQL']));
  const after = new pg.Client(postgres.databaseUrl);
  await after.connect();
  await after.query(`insert into public.feed values (100, 'after the restart')`);
  const slots = await after.query('select temporary from pg_replication_slots');
  await after.end();
  const [change] = await listener.untilChanges(1);
  expect(change?.record).toMatchObject({ id: 100 });
  expect(slots.rows).toEqual([{ temporary: true }]);
});
