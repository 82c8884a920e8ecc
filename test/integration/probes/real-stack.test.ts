import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../../../src/kernel/clock.ts';
import { ExitCode } from '../../../src/kernel/exit-codes.ts';
import { type Progress, silentLogger } from '../../../src/kernel/log.ts';
import { createSettler } from '../../../src/ops/settler.ts';
import { runChatProbe } from '../../../src/probes/chat/chat-probe.ts';
import { createFixture } from '../../../src/probes/fixture.ts';
import { runGiftProbe } from '../../../src/probes/gift/gift-probe.ts';
import { runHlsProbe } from '../../../src/probes/hls/hls-probe.ts';
import { runLeaderboardProbe } from '../../../src/probes/leaderboard/leaderboard-probe.ts';
import { type Measurement, measurementSchema } from '../../../src/record/measurement.ts';
import { verdictOf } from '../../../src/run/build-record.ts';
import { outcomeOf } from '../../../src/run/findings.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { RawRealtimeSocket } from '../../../src/target/supabase/raw-realtime.ts';
import { SupabaseRest } from '../../../src/target/supabase/rest.ts';
import { startTestStack, type TestStack } from '../harness/stack.ts';
import { calm, probeContext } from './probe-context.ts';

let stack: TestStack;
let database: pg.Pool;

beforeAll(async () => {
  stack = await startTestStack({ hls: true, provision: true });
  database = openDatabase(stack.env.DATABASE_URL);
});

afterAll(async () => {
  await database?.end();
  await stack?.stop();
});

let runs = 0;
const context = () => probeContext(stack.target, { database, runId: `real-${runs++}` });

/** A shared machine may make the generator late: then the figure must say so, and the counts hold all the same. */
function expectFigure(measurement: Measurement, status: 'measured' | 'estimate'): void {
  measurementSchema.parse(measurement);
  expect([status, 'client_limited']).toContain(measurement.status);
  expect(measurement.value).toBeGreaterThan(0);
  expect(measurement.thresholds.filter((threshold) => !threshold.ok)).toEqual([]);
  expect(measurement.thresholds.every((threshold) => threshold.samples > 0)).toBe(true);
  if (measurement.generator) {
    expect(measurement.generator.healthy).toBe(measurement.status !== 'client_limited');
  }
}

test('chat: every message reaches every member over broadcast, and every receiver over the database', async () => {
  const { measurements } = await runChatProbe(context(), {
    ...calm,
    ratePerS: 40,
    durationMs: 3000,
    users: 40,
    connections: 20,
    rooms: 2,
    databaseRatePerS: 15,
    databaseDurationMs: 3000,
  });
  const [throughput, latency] = measurements;
  expectFigure(throughput!, 'estimate');
  // 120 messages, each for the 9 other members of its room
  expect(throughput!.counts).toMatchObject({ offered: 120, ok: 120, delivered: 1080, lost: 0, unknown: 0 });
  expectFigure({ ...latency!, thresholds: [] }, 'measured');
  expect(latency!.samples).toBe(1080);
  // 45 messages for 10 raw sockets and one supabase-js client
  expect(throughput!.details.database).toMatchObject({
    ran: true,
    receivers: 11,
    counts: { offered: 45, ok: 45, delivered: 495, lost: 0, duplicated: 0, reordered: 0, throttled: 0 },
    officialClient: { delivered: 45, lost: 0, disagreements: 0 },
  });
});

test('without the JWT secret users are signed up, signed in and removed again', async () => {
  const ctx = context();
  const target = { ...stack.target, jwtSecret: undefined };
  const fixture = await createFixture({ ...ctx, target }, { users: 3, streams: 1, balance: 5 });
  const rest = new SupabaseRest({ supabaseUrl: target.supabaseUrl, apiKey: target.anonKey.reveal() });
  try {
    const user = fixture.users[1]!;
    const args = { p_id: ctx.random.uuid(), p_stream_id: fixture.streamIds[0], p_body: 'hello' };
    expect(await rest.rpc('send_chat_message', args, user.token)).toMatchObject({ user_id: user.id });
    await expect(rest.rpc('send_chat_message', args)).rejects.toMatchObject({ code: 'TF-SUP-002' });
  } finally {
    await fixture.release();
    await rest.close();
  }
  const { rows } = await database.query('select count(*)::int as left from auth.users');
  expect(rows).toEqual([{ left: 0 }]);
});

test('a key that is refused, a join that is refused and a server that is not there have their own errors', async () => {
  const { supabaseUrl, anonKey } = stack.target;
  const { signal } = new AbortController();
  const open = (url: string, apiKey: string) => RawRealtimeSocket.open({ supabaseUrl: url, apiKey, signal });
  await expect(open(supabaseUrl, 'no-such-key')).rejects.toMatchObject({ code: 'TF-SUP-002' });
  await expect(open('http://127.0.0.1:9', anonKey.reveal())).rejects.toMatchObject({ code: 'TF-SUP-001' });
  const socket = await open(supabaseUrl, anonKey.reveal());
  try {
    const refused = socket.join('chat:00000000-0000-4000-8000-000000000000', { isPrivate: true, ack: true });
    await expect(refused).rejects.toMatchObject({
      code: 'TF-SUP-003',
      details: { refusal: 'authorization' },
    });
  } finally {
    await socket.close();
  }
});

/** The stack of this file has no settler of its own. */
async function whileSettled<T>(work: () => Promise<T>): Promise<T> {
  const settler = createSettler({
    databaseUrl: stack.env.DATABASE_URL,
    everyMs: 500,
    log: silentLogger,
  });
  settler.start();
  try {
    return await work();
  } finally {
    await settler.stop();
  }
}

test('gift: what was acknowledged is in the ledger once, settled or failed once, and the money adds up', async () => {
  const plan = { ...calm, ratePerS: 100, users: 50, sqlDurationMs: 1000, backlogGifts: 3000 };
  const { measurements } = await whileSettled(() => runGiftProbe(context(), plan));
  const [ingestion, settlement] = measurements;
  expectFigure(ingestion!, 'estimate');
  expect(ingestion!.counts).toMatchObject({ offered: 200, ok: 200, acknowledged: 3300, lostAcknowledged: 0 });
  expectFigure(settlement!, 'estimate');
  // one in twenty of each phase cannot be paid
  expect(settlement!.counts).toMatchObject({ gifts: 3300, failed: 165, settled: 3135, moneyDifference: 0 });
  // by the settler, every gift of them, and the database knows when
  expect(settlement!.counts).toMatchObject({ bySchedule: 3300, byProbe: 0 });
  expect(settlement!.latencyMs!.max).toBeGreaterThan(0);
});

test('gift: a schedule that is dead does not hold, though the probe gets every gift settled', async () => {
  const plan = { ...calm, durationMs: 500, sqlDurationMs: 200, backlogGifts: 100, patienceMs: 1000 };
  const { measurements } = await runGiftProbe(context(), plan);
  const settlement = measurements[1]!;
  expect(settlement.counts).toMatchObject({ unsettled: 0, bySchedule: 0, violations: 0 });
  expect(settlement.reason).toContain('the schedule of the target is dead');
  expect(settlement.thresholds.filter(({ ok }) => !ok)).toMatchObject([
    { metric: 'gift_by_schedule', observed: 0 },
    { metric: 'gift_settlement_wait', reason: 'no data' },
  ]);
  expect(outcomeOf(settlement)).toBe('broken');
});

test('gift: a schedule that takes out a gift now and then is none, however long it goes on', async () => {
  const plan = { ...calm, durationMs: 500, sqlDurationMs: 200, backlogGifts: 150, patienceMs: 1000 };
  const ended = new AbortController();
  const trickle = (async () => {
    while (!ended.signal.aborted) {
      await database.query('select process_gift_ledger_batch(1)');
      await sleep(100);
    }
  })();
  try {
    const { measurements } = await runGiftProbe(context(), plan);
    const { counts, reason } = measurements[1]!;
    expect(reason).toContain('far too slow');
    // by both
    expect(Math.min(counts.bySchedule!, counts.byProbe!)).toBeGreaterThan(0);
  } finally {
    ended.abort();
    await trickle;
  }
});

/** Runs the gift probe with `plant` carried out when all gifts are sent, before the books are read. */
async function giftProbeWith(plant: string, undo: string): Promise<Measurement[]> {
  const client = await database.connect();
  let planted: Promise<unknown> | undefined;
  const progress: Progress = (event) => {
    if (event.kind === 'step' && event.text.includes('wait for the target')) planted ??= client.query(plant);
  };
  // the fixture is taken away after the books, and must find nothing in its way
  const log = { ...silentLogger, warn: () => void client.query(undo) };
  try {
    const plan = { ...calm, durationMs: 1000, sqlDurationMs: 200, backlogGifts: 50, patienceMs: 1000 };
    const { measurements } = await runGiftProbe({ ...context(), progress, log }, plan);
    expect(planted).toBeDefined();
    return [...measurements];
  } finally {
    await client.query(undo);
    client.release();
  }
}

test('gift: books that cannot be read take nothing from what was measured, and are no pass', async () => {
  const lock = 'begin; lock table wallet_deposits in access exclusive mode';
  const [ingestion, settlement] = await giftProbeWith(lock, 'rollback');
  expectFigure(ingestion!, 'estimate');
  expect(ingestion!.thresholds.map(({ metric }) => metric)).toEqual(['gift_accepted']);
  expect(ingestion!.details.unread).toContain('TF-GIFT-005');
  expect(settlement).toMatchObject({ status: 'inconclusive', thresholds: [] });
  expect(settlement!.reason).toContain('TF-GIFT-005');
  expect(outcomeOf(settlement)).toBe('absent');
});

test('gift: a resend that fails is told of, and the others are judged', async () => {
  const [ingestion, settlement] = await giftProbeWith(
    `create function public.lie_resend() returns trigger language plpgsql as $$
       begin raise exception 'not again'; end $$;
     create trigger lie_resend before insert on public.gift_ledger for each row
       when (right(new.gift_id::text, 2) = '07') execute function public.lie_resend()`,
    'drop trigger if exists lie_resend on public.gift_ledger; drop function if exists public.lie_resend',
  );
  expectFigure(ingestion!, 'estimate');
  // 25 are sent again, 0x07 among them
  expect(ingestion!.counts).toMatchObject({ resent: 24, resendsFailed: 1, violations: 0 });
  expect(settlement!.status).toBe('estimate');
});

test('leaderboard: reads cost the same at every size and show what the ledger says', async () => {
  const { measurements } = await runLeaderboardProbe(context(), {
    ...calm,
    ratePerS: 50,
    durationMs: 1000,
    sizes: [500, 5000],
  });
  expectFigure(measurements[0]!, 'measured');
  expect(measurements[0]!.counts).toMatchObject({
    offered: 100,
    ok: 100,
    errors: 0,
    wrongPlaces: 0,
    gifts: 5000,
  });
});

test('gift: without a database URL what cannot be audited is not judged, and settlement says not_run', async () => {
  const target = { ...stack.target, databaseUrl: undefined };
  const { measurements } = await runGiftProbe({ ...context(), target }, { ...calm, durationMs: 500 });
  expectFigure(measurements[0]!, 'estimate');
  expect(measurements[0]!.thresholds.map(({ metric }) => metric)).toEqual(['gift_accepted']);
  expect(measurements[1]).toMatchObject({ id: 'gift.settlement', status: 'not_run' });
  expect(measurements[1]!.reason).toContain('DATABASE_URL');
});

/** Runs the probe against another `get_leaderboard`, and gives the real one back. */
async function leaderboardWith(body: string, sizes: readonly number[]): Promise<Measurement> {
  const restored = await database.query<{ sql: string }>(
    "select pg_get_functiondef('public.get_leaderboard(text)'::regprocedure) as sql",
  );
  await database.query(
    // by index, so that what it reads grows with the run's own gifts and not with those of the tests before
    `create or replace function public.get_leaderboard(p_scope text default 'all') returns jsonb
     language sql stable security definer set search_path = '' set enable_seqscan = 'off' as $$ ${body} $$`,
  );
  try {
    const plan = { ...calm, ratePerS: 20, durationMs: 1000, sizes };
    return (await runLeaderboardProbe(context(), plan)).measurements[0]!;
  } finally {
    await database.query(restored.rows[0]!.sql);
  }
}

const failedOf = ({ thresholds }: Measurement) =>
  thresholds.filter(({ ok }) => !ok).map(({ metric, observed }) => ({ metric, observed }));

test('leaderboard: a place that only those who read over HTTP see wrong is found, at each size', async () => {
  const board = await leaderboardWith(
    `select jsonb_build_object('scope', t.scope, 'updated_at', t.updated_at, 'top',
       case when current_setting('request.jwt.claims', true) is null then t.top
         else jsonb_set(t.top, '{2,total}', to_jsonb((t.top -> 2 ->> 'total')::bigint + 1)) end)
     from public.leaderboard_top t where t.scope = p_scope`,
    [500, 600],
  );
  expect(failedOf(board)).toEqual([{ metric: 'leaderboard_wrong', observed: 2 }]);
  expect(board.counts.wrongPlaces).toBe(2);
});

test('leaderboard: a read that adds the ledger up is right, and found out by what it costs', async () => {
  const board = await leaderboardWith(
    `select jsonb_build_object('scope', p_scope, 'updated_at', now(), 'top', coalesce(jsonb_agg(
       jsonb_build_object('user_id', t.sender_id, 'total', t.total) order by t.total desc, t.sender_id), '[]'))
     from (
       select l.sender_id, sum(l.amount)::bigint as total
       from public.gift_ledger l
       where 'run:' || l.run_id = p_scope
         and l.seq > (select r.first_seq from public.synthetic_runs r where 'run:' || r.run_id = p_scope)
       group by 1 order by 2 desc, 1 limit 100
     ) t`,
    [200, 20_000],
  );
  const growth = board.details.growth;
  expect(failedOf(board)).toEqual([{ metric: 'leaderboard_growth', observed: growth }]);
  expect(growth).toBeGreaterThan(3);
  expect(board.counts.wrongPlaces).toBe(0);
});

test('hls: viewers are held on the live stream of the stack', async () => {
  const { measurements } = await runHlsProbe(context(), {
    ...calm,
    users: 100,
    rampMs: 1000,
    durationMs: 4000,
  });
  const [startup, viewers] = measurements;
  expectFigure({ ...startup!, thresholds: [] }, 'measured');
  expectFigure(viewers!, 'estimate');
  expect(viewers!.counts).toMatchObject({ joined: 100, held: 100, failedLoads: 0 });
});

test('a server that lies about gifts is found out, with the exact counts', async () => {
  const ctx = context();
  for (const statement of plantLies(ctx.runId)) await database.query(statement);
  try {
    const plan = {
      ...calm,
      ratePerS: 100,
      durationMs: 1000,
      users: 20,
      sqlDurationMs: 200,
      backlogGifts: 100,
    };
    const { measurements } = await whileSettled(() => runGiftProbe(ctx, plan));
    const [ingestion, settlement] = measurements;
    const observed = Object.fromEntries(
      [...ingestion!.thresholds, ...settlement!.thresholds]
        .filter((threshold) => !threshold.ok)
        .map((threshold) => [threshold.metric, threshold.observed]),
    );
    expect(observed).toEqual({
      // ids are numbered in hexadecimal: of 0…99 over HTTP and 0…19 over SQL, 07 17 27 37 47 57 and 07 end in 7
      gift_lost_acknowledged: 6 + 1,
      // 25 gifts are sent again, 0x07 and 0x17 among them
      gift_resent_accepted: 2,
      // how many seqs end in 3, and how often wallets were updated, is the database.s own affair
      gift_unsettled: observed.gift_unsettled,
      gift_money_difference: observed.gift_money_difference,
      gift_wrong_balances: observed.gift_wrong_balances,
      gift_wrong_totals: observed.gift_wrong_totals,
      // ledger and decisions do not add up
      gift_misfits: 1,
    });
    expect(observed.gift_unsettled).toBeGreaterThan(0);
    expect(observed.gift_money_difference).toBeGreaterThan(0);
    expect(observed.gift_wrong_totals).toBeGreaterThan(0);
    for (const one of [ingestion!, settlement!]) {
      expect(verdictOf({ measurements: [one], matrix: [] })).toBe(ExitCode.invariant);
    }
  } finally {
    for (const statement of undoLies) await database.query(statement);
  }
});

test('gifts that the server does not take are no pass, though everything it did take adds up', async () => {
  await database.query(`create function public.lie_refuse() returns trigger language plpgsql as $$
    begin raise exception 'not this one'; end $$`);
  await database.query(`create trigger lie_refuse before insert on public.gift_ledger for each row
    when (right(new.gift_id::text, 1) = '7') execute function public.lie_refuse()`);
  try {
    const plan = { ...calm, ratePerS: 100, durationMs: 1000, users: 20, sqlDurationMs: 200, backlogGifts: 5 };
    const { measurements } = await whileSettled(() => runGiftProbe(context(), plan));
    // as above: 6 of 100 over HTTP and 1 of 20 over SQL
    expect(measurements.flatMap(failedOf)).toEqual([{ metric: 'gift_accepted', observed: 113 / 120 }]);
  } finally {
    await database.query('drop trigger lie_refuse on public.gift_ledger');
    await database.query('drop function public.lie_refuse()');
  }
});

/** Acknowledges gifts without writing them, mints a coin at each update of a wallet, swallows some settlements. */
function plantLies(runId: string): string[] {
  return [
    'alter function public.send_gift(uuid, uuid, uuid, bigint, text) rename to honest_send_gift',
    `create function public.send_gift(
       p_gift_id uuid, p_stream_id uuid, p_receiver_id uuid, p_amount bigint default null, p_catalog_id text default null
     ) returns jsonb language plpgsql security definer set search_path = '' as $$
     begin
       if right(p_gift_id::text, 1) = '7' then
         return jsonb_build_object('gift_id', p_gift_id, 'seq', 1, 'status', 'pending', 'duplicate', false, 'amount', p_amount);
       end if;
       return public.honest_send_gift(p_gift_id, p_stream_id, p_receiver_id, p_amount, p_catalog_id);
     end $$`,
    `create function public.lie_mint() returns trigger language plpgsql as $$
     begin new.balance := new.balance + 1; return new; end $$`,
    `create trigger lie_mint before update on public.wallets for each row
     when (new.run_id = '${runId}' and new.gifted_total > old.gifted_total) execute function public.lie_mint()`,
    `create function public.lie_swallow() returns trigger language plpgsql as $$
     begin return case when new.seq % 10 = 3 then null else new end; end $$`,
    `create trigger lie_swallow before insert on public.gift_settlements for each row
     when (new.run_id = '${runId}') execute function public.lie_swallow()`,
  ];
}

const undoLies = [
  'drop trigger lie_swallow on public.gift_settlements',
  'drop function public.lie_swallow()',
  'drop trigger lie_mint on public.wallets',
  'drop function public.lie_mint()',
  'drop function public.send_gift(uuid, uuid, uuid, bigint, text)',
  'alter function public.honest_send_gift(uuid, uuid, uuid, bigint, text) rename to send_gift',
];
