import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GiftHealth, giftBacklog } from '../../../src/ops/gifts.ts';
import { Provisioned } from '../database/provisioned.ts';

let db: Provisioned;
let people: { users: string[]; stream: string };
beforeAll(async () => {
  db = await Provisioned.start();
  people = await db.realPeople(2, 1_000_000);
});
afterAll(async () => db?.[Symbol.asyncDispose]());
beforeEach(async () => {
  await db.pool.query('delete from gift_batch_logs');
});
afterEach(async () => {
  await drain();
  expect(await db.one('select count(*)::int from gift_pending')).toBe(0);
});

const health = async (): Promise<GiftHealth> => (await giftBacklog(db.pool)).health;
const view = async <T>(column: string) => db.one<T>(`select ${column} from gift_health`);
/** The log row of the run, as the drain itself tells it. */
const drain = async (budgetMs = 8000, firstBatch: number | null = null) =>
  (await db.pool.query('call drain_gift_ledger($1, $2, $3)', [budgetMs, 'test', firstBatch])).rows[0]
    .p_run as {
    id: number;
    claimed: number;
    settled: number;
    backlog_count: number;
    stop_reason: string;
    backend_pid: number;
  };
const batch = (size: number) => db.pool.query('select * from process_gift_ledger_batch($1)', [size]);

async function feed(gifts: number): Promise<void> {
  const [sender_id, receiver_id] = people.users;
  const list = Array.from({ length: gifts }, () => ({
    ...{ gift_id: randomUUID(), sender_id, receiver_id, stream_id: people.stream, amount: 1 },
  }));
  await db.pool.query('select send_gifts($1)', [JSON.stringify(list)]);
}

/** As if all that is logged had happened so much earlier. */
const passTime = (interval: string) =>
  db.pool.query(
    `update gift_batch_logs set started_at = started_at - $1::interval, finished_at = finished_at - $1::interval,
       last_round_at = last_round_at - $1::interval`,
    [interval],
  );

describe('gift_health', () => {
  it('is stalled until something settles, ok once it does, and stalled again when nothing did for 35 s', async () => {
    expect((await health()).verdict).toBe('stalled');
    await feed(10);
    expect((await health()).verdict).toBe('stalled');
    await drain();
    expect(await health()).toMatchObject({
      verdict: 'ok',
      backlog: 0,
      secondsToDrain: 0,
      lastStopReason: 'empty',
    });
    await passTime('30 seconds');
    expect((await health()).verdict).toBe('ok');
    await passTime('6 seconds');
    expect((await health()).verdict).toBe('stalled');
  });

  it('is stalled while a session holds the settlement lock, however many runs find it taken', async () => {
    await drain();
    const holder = await db.session();
    await holder.query('begin; select trollfix.try_settlement_lock()');
    await feed(5);
    expect(await drain()).toMatchObject({ stop_reason: 'skipped_locked', claimed: 0 });
    expect((await health()).verdict).toBe('ok');
    await passTime('36 seconds');
    for (let n = 0; n < 3; n++) expect(await drain()).toMatchObject({ stop_reason: 'skipped_locked' });
    await batch(1000);
    expect(await health()).toMatchObject({ verdict: 'stalled', backlog: 5 });
    expect(await view('skipped_since_finish')).toBe('5');
    await holder.query('rollback');
    await drain();
    expect((await health()).verdict).toBe('ok');
    expect(await view('skipped_since_finish')).toBe('0');
  });

  it('is failing when a run ends in an error, and ok after one that does not', async () => {
    await feed(5);
    await db.pool.query(
      "alter table gift_settlements add constraint broken check (status <> 'settled') not valid",
    );
    expect(await drain()).toMatchObject({ stop_reason: 'error', claimed: 0, settled: 0 });
    expect(await health()).toMatchObject({
      verdict: 'failing',
      backlog: 5,
      lastError: expect.stringContaining('23514'),
    });
    await db.pool.query('alter table gift_settlements drop constraint broken');
    await drain();
    expect((await health()).verdict).toBe('ok');
  });

  it('is failing when a run dies, not while it works', async () => {
    await drain();
    await feed(5);
    const [holder, victim] = [await db.session(), await db.session()];
    await holder.query('begin');
    await holder.query('select from wallets where user_id = $1 for update', [people.users[0]]);
    const pid = (await victim.query('select pg_backend_pid() as pid')).rows[0].pid;
    const killed = victim.query('call drain_gift_ledger()').catch((error: { code: string }) => error.code);
    const isWaiting = "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1";
    await expect.poll(() => db.one(isWaiting, [pid])).toBe(true);
    expect(await health()).toMatchObject({ verdict: 'ok', runsWithoutEnd: 0 });
    await db.pool.query('select pg_terminate_backend($1)', [pid]);
    await killed;
    await expect.poll(async () => (await health()).verdict).toBe('failing');
    expect(await health()).toMatchObject({ runsWithoutEnd: 1, backlog: 5 });
    await holder.query('rollback');
    await drain();
    expect((await health()).verdict).toBe('ok');
  });

  it('is not stalled while a long run does round after round', async () => {
    await drain();
    await passTime('40 seconds');
    await feed(1500);
    const [holder, worker] = [await db.session(), await db.session()];
    // the second round will wait for the last gift's sender
    const other = await db.realPeople(2, 10);
    await db.pool.query('select send_gifts($1)', [
      JSON.stringify([
        {
          gift_id: randomUUID(),
          sender_id: other.users[0],
          receiver_id: other.users[1],
          stream_id: other.stream,
          amount: 1,
        },
      ]),
    ]);
    await holder.query('begin');
    await holder.query('select from wallets where user_id = $1 for update', [other.users[0]]);
    const run = worker.query("call drain_gift_ledger(60000, 'long', 1000)");
    const inProgress =
      "select claimed::int from gift_batch_logs where trigger_source = 'long' and finished_at is null";
    await expect.poll(() => db.one(inProgress)).toBe(1000);
    expect(await health()).toMatchObject({ verdict: 'ok', sinceLastFinishS: expect.any(Number) });
    expect((await health()).sinceLastFinishS).toBeGreaterThan(35);
    await holder.query('rollback');
    expect((await run).rows[0].p_run).toMatchObject({ claimed: 1501, rounds: 2, stop_reason: 'empty' });
  });

  it('is diverging when runs stop with gifts left and more came in, by budget and by the original rule', async () => {
    await feed(1500);
    await drain();
    for (const limited of [() => drain(0, 1000), () => batch(1000)]) {
      await feed(2500);
      await limited();
      // 1000 went and 2500 came: this cannot go well
      expect(await health()).toMatchObject({ verdict: 'diverging', secondsToDrain: null });
    }
    // more goes than comes: there is a backlog, and an end to it
    await batch(1000);
    const before = await health();
    expect(before.verdict).toBe('ok');
    expect(before.secondsToDrain).toBeGreaterThan(0);
    await drain();
    expect(await health()).toMatchObject({ verdict: 'ok', backlog: 0 });
  });

  it('is late when a gift waits for more than 30 s though runs end well', async () => {
    await feed(2);
    await db.pool.query("update gift_pending set enqueued_at = enqueued_at - interval '31 seconds'");
    // an operator looks at the rows and does not let go: runs pass over them
    const operator = await db.session();
    await operator.query('begin; select from gift_pending for update');
    expect(await drain()).toMatchObject({ claimed: 0, stop_reason: 'empty', backlog_count: 2 });
    expect(await health()).toMatchObject({ verdict: 'late', backlog: 2 });
    expect((await health()).oldestPendingS).toBeGreaterThan(30);
    await operator.query('rollback');
    await drain();
    expect((await health()).verdict).toBe('ok');
  });

  it('forecasts by what runs of 1,000 gifts and more took, and by what the schedule makes of it', async () => {
    await feed(10);
    await drain();
    expect(await health()).toMatchObject({ capacityPerS: null });
    for (let n = 0; n < 2; n++) {
      await feed(2000);
      await drain();
    }
    const rounds = await db.pool.query(
      'select round_claimed::int as gifts, round_ms as ms from gift_batch_logs where claimed >= 1000',
    );
    expect(rounds.rows).toHaveLength(2);
    const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
    const [gifts, ms] = [sum(rounds.rows.map((row) => row.gifts)), sum(rounds.rows.map((row) => row.ms))];
    expect((await health()).capacityPerS).toBeCloseTo((gifts * 1000) / ms, 3);
    // a run took 3000 in the 10 s since the one before and left 1000; 20 a second come in
    await db.pool.query('update gift_batch_logs set ingest_per_s = 20');
    await passTime('10 seconds');
    await feed(4000);
    await db.pool.query(
      "insert into gift_batch_logs (trigger_source, finished_at, claimed, drain_per_s, ingest_per_s, backlog_count, stop_reason) values ('t', clock_timestamp(), 3000, 30000, 20, 4000, 'budget')",
    );
    const limited = await health();
    expect(await view<number>('sustained_per_s')).toBeGreaterThan(200);
    expect(await view<number>('sustained_per_s')).toBeLessThan(310);
    expect(limited.secondsToDrain).toBeGreaterThan(4000 / 310);
    expect(limited.secondsToDrain).toBeLessThan(4000 / 150);
  });
});

describe('a run', () => {
  it('tells its caller what it did itself, whatever else that backend logged', async () => {
    await feed(3);
    const first = await drain();
    expect(first).toMatchObject({ claimed: 3, settled: 3, backlog_count: 0, stop_reason: 'empty' });
    const second = await drain();
    expect(second.id).toBeGreaterThan(first.id);
    expect(second).toMatchObject({ claimed: 0 });
    const logged = await db.pool.query('select * from gift_batch_logs where id = $1', [first.id]);
    expect(logged.rows[0]).toMatchObject({
      ...{ trigger_source: 'test', rounds: 1, claimed: '3', settled: '3', failed: '0', coins_moved: '3' },
      ...{ backlog_count: '0', oldest_pending_age: null, stop_reason: 'empty', error: null },
    });
    for (const column of ['started_at', 'finished_at', 'drain_per_s'])
      expect(logged.rows[0][column]).not.toBeNull();
  });

  it('begins where the runs before left off, when it is not told otherwise', async () => {
    expect(await db.one('select trollfix.first_batch()')).toBe(1000);
    await feed(3000);
    await drain(8000, 1000);
    const learned = await db.one<number>('select trollfix.first_batch()');
    const { rows } = await db.pool.query(
      'select round_claimed, round_ms from gift_batch_logs order by id desc limit 1',
    );
    expect(learned).toBe(
      Math.round(Math.min(50_000, Math.max(1000, (500 * rows[0].round_claimed) / rows[0].round_ms))),
    );
    await feed(1500);
    expect(await drain(0, 1000)).toMatchObject({ claimed: 1000, stop_reason: 'budget' });
  });
});
