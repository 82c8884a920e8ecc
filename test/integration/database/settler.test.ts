import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { silentLogger } from '../../../src/kernel/log.ts';
import { drainGifts, giftBacklog } from '../../../src/ops/gifts.ts';
import { createSettler, type Settler, type SettlerRun } from '../../../src/ops/settler.ts';
import { auditLedger, clean } from './ledger-audit.ts';
import { Provisioned, type SyntheticRun } from './provisioned.ts';

let db: Provisioned;
let run: SyntheticRun;
beforeAll(async () => {
  db = await Provisioned.start();
  run = await db.run('ops', 40, { balance: 1_000_000 });
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const feed = (n: number) =>
  db.pool.query('select send_gifts($1)', [
    JSON.stringify(
      Array.from({ length: n }, (_, i) => ({
        ...{ gift_id: randomUUID(), stream_id: run.streams[0], amount: 1 },
        ...{ sender_id: run.users[i % 40], receiver_id: run.users[(i + 1) % 40] },
      })),
    ),
  ]);
const workers: Settler[] = [];
// one that a failed test left behind would settle what the next test feeds
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
const settler = (options: { everyMs: number; onRun?: (run: SettlerRun) => void }) => {
  const { databaseUrl } = db.postgres;
  const worker = createSettler({ databaseUrl, budgetMs: 5000, log: silentLogger, ...options });
  workers.push(worker);
  return worker;
};
const pending = () => db.one<number>('select count(*)::int from gift_pending');

describe('settler', () => {
  it('runs at once and again, and ends cleanly; start and stop twice change nothing', async () => {
    await feed(500);
    const runs: SettlerRun[] = [];
    const worker = settler({ everyMs: 50, onRun: (r) => runs.push(r) });
    worker.start();
    worker.start();
    await expect.poll(() => runs.length).toBeGreaterThan(2);
    expect(runs[0]).toMatchObject({ claimed: 500, settled: 500, stopReason: 'empty', backlog: 0 });
    await Promise.all([worker.stop(), worker.stop()]);
    const ended = runs.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(runs.length).toBe(ended);
    expect(worker.status()).toMatchObject({ running: false, connected: false, disconnects: 0 });
    expect(
      await db.one("select count(*)::int from pg_stat_activity where application_name = 'trollfix settler'"),
    ).toBe(0);
  });

  it('never overlaps itself, and makes up for one missed run at most', async () => {
    const runs: SettlerRun[] = [];
    const worker = settler({ everyMs: 100, onRun: (r) => runs.push(r) });
    // a lock on the log holds the first run up for six intervals
    const blocker = await db.session();
    await blocker.query('begin; lock table gift_batch_logs in exclusive mode');
    worker.start();
    await new Promise((resolve) => setTimeout(resolve, 650));
    const busy = await db.one(
      "select count(*)::int from pg_stat_activity where application_name = 'trollfix settler'",
    );
    expect(busy).toBe(1);
    await blocker.query('commit');
    await expect.poll(() => runs.length).toBeGreaterThanOrEqual(4);
    await worker.stop();
    const { rows } = await db.pool.query(
      "select extract(epoch from started_at - lag(finished_at) over (order by id))::float8 * 1000 as gap from gift_batch_logs where trigger_source = 'settler' order by id desc limit 4",
    );
    for (const { gap } of rows) expect(gap).toBeGreaterThanOrEqual(0);
    // after the one that was made up for, the pace is the interval's again
    const starts = runs.slice(-3).map(({ startedAtMs }) => startedAtMs);
    expect((starts[2] ?? 0) - (starts[0] ?? 0)).toBeGreaterThan(100);
  });

  it('finishes the run in progress when it is stopped', async () => {
    await feed(10_000);
    await feed(10_000);
    const worker = settler({ everyMs: 60_000 });
    worker.start();
    await expect.poll(() => worker.status().connected).toBe(true);
    await worker.stop();
    expect(worker.status().runs).toBe(1);
    expect(await pending()).toBe(0);
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('dials again after its backend was killed, and after the server was', async () => {
    const worker = settler({ everyMs: 50 });
    worker.start();
    await expect.poll(() => worker.status().runs).toBeGreaterThan(0);
    await db.pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trollfix settler'",
    );
    await feed(100);
    await expect.poll(pending, { timeout: 10_000 }).toBe(0);
    // a run that was under way may drain them before its backend sees that it is to die
    await expect.poll(() => worker.status().disconnects, { timeout: 10_000 }).toBeGreaterThan(0);
    const lost = worker.status().disconnects;
    db.postgres.service.kill('SIGKILL');
    await expect.poll(() => worker.status().disconnects, { timeout: 10_000 }).toBeGreaterThan(lost);
    await db.postgres.service.restart(AbortSignal.timeout(60_000));
    const before = worker.status().runs;
    await expect.poll(() => worker.status().runs, { timeout: 10_000 }).toBeGreaterThan(before);
    await worker.stop();
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('keeps trying while nobody answers, and stops all the same', async () => {
    const worker = createSettler({
      databaseUrl: 'postgres://x:y@127.0.0.1:1/z',
      everyMs: 50,
      log: silentLogger,
    });
    worker.start();
    await expect.poll(() => worker.status().disconnects).toBeGreaterThan(1);
    expect(worker.status().lastError).toContain('cannot be reached');
    await worker.stop();
    expect(worker.status().running).toBe(false);
  });
});

describe('gift drain and backlog', () => {
  it('drains with progress and says what it moved', async () => {
    await feed(8000);
    const seen: number[] = [];
    const result = await drainGifts(db.pool, { onRound: ({ claimed }) => seen.push(claimed) });
    expect(result).toMatchObject({
      claimed: 8000,
      settled: 8000,
      failed: 0,
      coinsMoved: 8000,
      backlog: 0,
      stoppedBy: 'empty',
    });
    expect(result.rounds).toBeGreaterThan(0);
    expect(seen.at(-1)).toBe(8000);
    const { health, runs } = await giftBacklog(db.pool);
    expect(health).toMatchObject({ verdict: 'ok', backlog: 0, secondsToDrain: 0 });
    expect(health.capacityPerS).toBeGreaterThan(0);
    expect(runs[0]).toMatchObject({ source: 'manual', claimed: 8000, stopReason: 'empty' });
  });

  it('refuses politely while another session settles, and names it', async () => {
    await feed(10);
    const holder = await db.session();
    await holder.query(
      "set application_name = 'the other one'; begin; select trollfix.try_settlement_lock()",
    );
    const error = await drainGifts(db.pool).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TrollfixError);
    expect(error).toMatchObject({ code: 'TF-GIFT-001', message: expect.stringContaining('the other one') });
    await holder.query('rollback');
    expect(await drainGifts(db.pool)).toMatchObject({ claimed: 10 });
  });

  it('stops when it is told to, and when its time is over', async () => {
    await feed(10);
    expect(await drainGifts(db.pool, { signal: AbortSignal.abort() })).toMatchObject({
      claimed: 0,
      stoppedBy: 'interrupted',
    });
    expect(await drainGifts(db.pool, { budgetMs: 0 })).toMatchObject({ claimed: 0, stoppedBy: 'time' });
    expect(await drainGifts(db.pool)).toMatchObject({ claimed: 10, stoppedBy: 'empty' });
  });

  it('reports a round that fails, in the log too, and moves nothing', async () => {
    await feed(10);
    await db.pool.query(
      "alter table gift_settlements add constraint broken check (status <> 'settled') not valid",
    );
    expect(await drainGifts(db.pool).catch((e: unknown) => e)).toMatchObject({
      code: 'TF-GIFT-003',
      message: expect.stringContaining('broken'),
    });
    expect((await giftBacklog(db.pool)).health).toMatchObject({
      verdict: 'failing',
      backlog: 10,
      lastError: expect.stringContaining('23514'),
    });
    await db.pool.query('alter table gift_settlements drop constraint broken');
    expect(await drainGifts(db.pool)).toMatchObject({ claimed: 10, backlog: 0 });
    expect((await giftBacklog(db.pool)).health.verdict).toBe('ok');
  });

  it('knows every verdict', async () => {
    const verdict = async () => (await giftBacklog(db.pool)).health.verdict;
    const insert = (values: string) =>
      db.pool.query(
        `insert into gift_batch_logs (trigger_source, backend_pid, started_at, finished_at, claimed, drain_per_s, ingest_per_s, stop_reason) values ${values}`,
      );
    await db.pool.query('delete from gift_batch_logs');
    expect(await verdict()).toBe('stalled');
    await insert(
      "('t', 0, now() - interval '2 minutes', now() - interval '36 seconds', 5000, 1000, 10, 'empty')",
    );
    expect(await verdict()).toBe('stalled');
    await insert(
      "('t', 0, now() - interval '9 seconds', now() - interval '1 second', 8000, 1000, 1500, 'budget')",
    );
    expect(await verdict()).toBe('diverging');
    await insert("('t', 0, now() - interval '1 second', now(), 0, null, 0, 'empty')");
    expect(await verdict()).toBe('ok');
    await feed(1);
    await db.pool.query("update gift_pending set enqueued_at = now() - interval '31 seconds'");
    expect(await verdict()).toBe('late');
    // began, and its backend is nowhere: it died
    await insert("('t', 0, now(), null, 0, null, null, null)");
    expect(await verdict()).toBe('failing');
    // a forecast of what is there: 1 gift at 1000/s
    expect((await giftBacklog(db.pool)).health.secondsToDrain).toBeCloseTo(0.001, 4);
    await drainGifts(db.pool);
    expect(await verdict()).toBe('ok');
  });

  it('keeps house once a day: old logs and boards go', async () => {
    await db.pool.query(
      "insert into gift_batch_logs (trigger_source, started_at, finished_at, stop_reason) values ('old', now() - interval '8 days', now() - interval '8 days', 'empty')",
    );
    await db.pool.query("insert into leaderboard_days values ('2020-01-01', gen_random_uuid(), 1, 1)");
    await db.pool.query("update gift_settings set housekept_at = now() - interval '25 hours'");
    await drainGifts(db.pool);
    expect(await db.one("select count(*)::int from gift_batch_logs where trigger_source = 'old'")).toBe(0);
    expect(await db.one("select count(*)::int from leaderboard_days where day = '2020-01-01'")).toBe(0);
  });
});
