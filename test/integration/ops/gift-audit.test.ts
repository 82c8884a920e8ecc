import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  auditCheckSql,
  auditChecks,
  beginAuditSql,
  guardAuditSql,
} from '../../../src/target/postgres/gift-audit.sql.ts';
import { auditGifts, type GiftAudit, rowInWords } from '../../../src/target/postgres/gift-audit.ts';
import { Provisioned, type SyntheticRun } from '../database/provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
  await db.pool.query('update gift_settings set fee_bps = 500');
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const violated = ({ findings }: GiftAudit) =>
  findings.filter(({ violations }) => violations > 0).map(({ check }) => check);

const gifts = (senders: readonly string[], stream: string | undefined, n: number, amount = 1000) =>
  JSON.stringify(
    Array.from({ length: n }, (_, i) => ({
      ...{ gift_id: randomUUID(), stream_id: stream, amount },
      sender_id: senders[i % senders.length],
      receiver_id: senders[(i + 1) % senders.length],
    })),
  );

const send = (list: string) => db.pool.query('select send_gifts($1)', [list]);
const drain = () => db.pool.query('call drain_gift_ledger()');

let runs = 0;
/** A run with 12 settled gifts, one of them taken back, one failed, and one that waits. */
async function smallRun(): Promise<SyntheticRun> {
  const run = await db.run(`audit-${++runs}`, 4, { balance: 100_000 });
  await send(gifts(run.users, run.streams[0], 12));
  await send(gifts(run.users.slice(0, 2), run.streams[0], 1, 10_000_000));
  await drain();
  const settled = await db.one<string>(
    "select gift_id from gifts where run_id = $1 and status = 'settled' order by seq limit 1",
    [run.runId],
  );
  await db.pool.query("select reverse_gift($1, 'test', 'me')", [settled]);
  await send(gifts(run.users, run.streams[0], 1));
  return run;
}

interface Fault {
  readonly what: string;
  /** Statements; `$run` is the run's id. Deletes of append-only rows pass as a purge of the run. */
  readonly plant: readonly string[];
  /** The checks that must see it, and no other. */
  readonly seen: readonly string[];
  /** What the purge of the run does not take back. */
  readonly undo?: readonly string[];
}

const purging = "select set_config('trollfix.purging_run', $run, true)";
const oneSettled = "(select min(seq) from gifts where run_id = $run and status = 'settled')";
const oneFailed = "(select min(seq) from gifts where run_id = $run and status = 'failed')";
const oneUser = '(select user_id from wallets where run_id = $run order by user_id limit 1)';
const constraint = (table: string, name: string, definition: string) => ({
  drop: `alter table ${table} drop constraint ${name}`,
  back: `alter table ${table} add constraint ${name} ${definition}`,
});
const settlementKey = constraint('gift_settlements', 'gift_settlements_pkey', 'primary key (seq)');
const giftKey = constraint('gift_ledger', 'gift_ledger_gift_id_key', 'unique (gift_id)');
const reversalKey = constraint('gift_reversals', 'gift_reversals_pkey', 'primary key (seq)');
const reversedGift = constraint('gift_reversals', 'gift_reversals_gift_id_key', 'unique (gift_id)');
const balanceCheck = constraint('wallets', 'wallets_balance_check', 'check (balance >= 0)');

const faults: readonly Fault[] = [
  {
    what: 'a coin out of nowhere',
    plant: [`update wallets set balance = balance + 1 where user_id = ${oneUser}`],
    seen: ['money.conserved', 'wallet.balance'],
  },
  {
    what: 'a coin that changed hands without a gift: the sum is right',
    plant: [
      `update wallets set balance = balance + case when user_id = ${oneUser} then 1 else -1 end
       where user_id in (select user_id from wallets where run_id = $run order by user_id limit 2)`,
    ],
    seen: ['wallet.balance'],
  },
  {
    what: 'a balance below zero',
    plant: [balanceCheck.drop, `update wallets set balance = -1 where user_id = ${oneUser}`],
    seen: ['money.conserved', 'wallet.negative', 'wallet.balance'],
    undo: [balanceCheck.back],
  },
  {
    what: 'a gift that fell out of the queue',
    plant: ['delete from gift_pending where run_id = $run'],
    seen: ['gift.lost', 'ledger.count'],
  },
  {
    what: 'a gift taken in twice',
    plant: [
      giftKey.drop,
      `with twice as (insert into gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, run_id)
         select gift_id, sender_id, receiver_id, stream_id, amount, run_id from gift_ledger where seq = ${oneFailed} returning *)
       insert into gift_pending select seq, sender_id, receiver_id, stream_id, amount, created_at, run_id from twice`,
    ],
    seen: ['gift.once'],
    undo: [giftKey.back],
  },
  {
    what: 'a gift decided twice',
    plant: [
      settlementKey.drop,
      `insert into gift_settlements select * from gift_settlements where seq = ${oneFailed}`,
    ],
    seen: ['settlement.once', 'ledger.count'],
    undo: [settlementKey.back],
  },
  {
    what: 'a decision of no gift',
    plant: [
      `insert into gift_settlements (seq, status, reason, batch_id, settled_at, run_id)
       select max(seq) + 1000000, 'failed', 'x', 0, now(), $run from gift_ledger`,
    ],
    seen: ['settlement.orphan', 'ledger.count'],
  },
  {
    what: 'a fee above its gift',
    plant: [
      purging,
      `with gone as (delete from gift_settlements where seq = ${oneSettled} returning *)
       insert into gift_settlements select seq, status, reason, 1001, batch_id, settled_at, run_id from gone`,
    ],
    seen: ['money.conserved', 'wallet.balance', 'settlement.content'],
  },
  {
    what: 'a decided gift that waits again, and would be paid twice',
    plant: [
      `insert into gift_pending select seq, sender_id, receiver_id, stream_id, amount, created_at, run_id
       from gift_ledger where seq = ${oneSettled}`,
    ],
    seen: ['queue.decided', 'ledger.count'],
  },
  {
    what: 'an amount that grew while it waited',
    plant: ['update gift_pending set amount = amount + 1 where run_id = $run'],
    seen: ['queue.content'],
  },
  {
    what: 'a gift taken back twice',
    plant: [
      reversalKey.drop,
      reversedGift.drop,
      `insert into gift_reversals (seq, gift_id, sender_id, receiver_id, amount, fee, reason, actor, run_id)
       select seq, gift_id, sender_id, receiver_id, amount, fee, reason, actor, run_id from gift_reversals where run_id = $run`,
    ],
    seen: ['money.conserved', 'wallet.balance', 'reversal.once'],
    undo: [reversalKey.back, reversedGift.back],
  },
  {
    what: 'a failed gift taken back',
    plant: [
      `insert into gift_reversals (seq, gift_id, sender_id, receiver_id, amount, fee, reason, actor, run_id)
       select seq, gift_id, sender_id, receiver_id, amount, 0, 'x', 'x', run_id from gift_ledger where seq = ${oneFailed}`,
    ],
    seen: ['wallet.balance', 'reversal.content'],
  },
  {
    what: 'a total that is not the ledger’s, on the list as well',
    plant: [
      `update wallets set gifted_total = gifted_total + 1 where user_id = ${oneUser}`,
      "select trollfix.rebuild_top('run:' || $run)",
    ],
    seen: ['leaderboard.totals'],
  },
  {
    what: 'a top list that is not its board',
    plant: [
      "update leaderboard_top set top = jsonb_set(top, '{0,total}', '1'::jsonb) where scope = 'run:' || $run",
    ],
    seen: ['leaderboard.top'],
  },
  {
    what: 'synthetic gifts on the board of a day',
    plant: [
      `insert into leaderboard_days select current_date, user_id, 5, 1 from wallets where run_id = $run`,
    ],
    seen: ['leaderboard.days', 'leaderboard.top'],
    undo: ['delete from leaderboard_days where user_id not in (select id from profiles)'],
  },
  {
    what: 'synthetic gifts on the board of a stream',
    plant: [`insert into leaderboard_streams select id, owner_id, 5, 1 from streams where run_id = $run`],
    seen: ['leaderboard.streams', 'leaderboard.top'],
    undo: ['delete from leaderboard_streams where stream_id not in (select id from streams)'],
  },
];

/** In one transaction, with the run's id for `$run`. */
async function execute(statements: readonly string[], runId: string): Promise<void> {
  await db.pool.query(['begin', ...statements, 'commit'].join(';\n').replaceAll('$run', `'${runId}'`));
}

describe('gift audit', () => {
  it('finds nothing wrong with a ledger that is right, and says what it looked at', async () => {
    const people = await db.realPeople(3, 50_000);
    await send(gifts(people.users, people.stream, 6));
    const run = await smallRun();
    const taken = await db.one<string>(
      "select gift_id from gifts where run_id is null and status = 'settled' limit 1",
    );
    await db.pool.query("select reverse_gift($1, 'test', 'me')", [taken]);
    const audit = await auditGifts(db.pool);
    expect(audit).toMatchObject({ runId: null, violations: 0 });
    expect(audit.findings.map(({ check }) => check)).toEqual(auditChecks.map(({ id }) => id));
    expect(audit.findings.filter(({ checked }) => checked === 0)).toEqual([]);
    expect(audit.counts).toMatchObject({ gifts: 20, settled: 18, failed: 1, pending: 1, reversed: 2 });
    // 5 % of each settled gift of 1000, without those that were given back
    expect(audit.counts.coinsInFees).toBe((18 - 2) * 50);
    const ofRun = await auditGifts(db.pool, { runId: run.runId });
    expect(ofRun).toMatchObject({
      violations: 0,
      counts: { gifts: 14, wallets: 4, coinsDeposited: 400_000 },
    });
    await db.pool.query('select purge_run($1)', [run.runId]);
  });

  it.each(faults)('sees $what', async ({ plant, seen, undo }) => {
    const run = await smallRun();
    expect(await auditGifts(db.pool, { runId: run.runId })).toMatchObject({ violations: 0 });
    await execute(plant, run.runId);
    const ofRun = await auditGifts(db.pool, { runId: run.runId });
    // a list of everybody's is not the run's to be compared with
    expect(violated(ofRun)).toEqual(seen.filter((check) => check !== 'leaderboard.top' || seen.length === 1));
    const whole = await auditGifts(db.pool);
    expect(violated(whole)).toEqual(seen);
    for (const { violations, rows } of whole.findings.filter((finding) => finding.violations > 0)) {
      expect(rows.length).toBe(Math.min(violations, 20));
      for (const row of rows) expect(rowInWords(row)).toMatch(/\w+ \S+/);
    }
    await db.pool.query('select purge_run($1)', [run.runId]);
    for (const statement of undo ?? []) await db.pool.query(statement);
    expect(violated(await auditGifts(db.pool))).toEqual([]);
  });

  it('looked at no leaderboard where nothing is settled', async () => {
    const run = await db.run('audit-unsettled', 4, { balance: 100_000 });
    await send(gifts(run.users, run.streams[0], 3));
    const { findings } = await auditGifts(db.pool, { runId: run.runId });
    expect(findings.filter(({ checked }) => checked === 0).map(({ check }) => check)).toEqual([
      ...['settlement.once', 'settlement.orphan', 'settlement.content', 'reversal.once', 'reversal.content'],
      ...['leaderboard.totals', 'leaderboard.days', 'leaderboard.streams', 'leaderboard.top'],
    ]);
    await db.pool.query('select purge_run($1)', [run.runId]);
  });

  it('names as many rows as it is asked for, and counts all', async () => {
    const run = await smallRun();
    await db.pool.query('update wallets set gifted_count = gifted_count + 1 where run_id = $1', [run.runId]);
    const audit = await auditGifts(db.pool, { runId: run.runId, rows: 2 });
    const totals = audit.findings.find(({ check }) => check === 'leaderboard.totals');
    expect(totals).toMatchObject({ checked: 12, violations: 4 });
    expect(totals?.rows).toHaveLength(2);
    await db.pool.query('select purge_run($1)', [run.runId]);
  });

  it('raises no alarm while gifts are sent, settled and taken back, and stops none of it', async () => {
    const run = await db.run('audit-live', 50, { balance: 1_000_000 });
    const ended = new AbortController();
    const repeat = async (work: () => Promise<unknown>) => {
      let times = 0;
      for (; !ended.signal.aborted; times++) await work();
      return times;
    };
    const clients = await Promise.all([db.session(), db.session(), db.session()]);
    const [sender, drainer, taker] = clients as [
      (typeof clients)[0],
      (typeof clients)[0],
      (typeof clients)[0],
    ];
    const work = Promise.all([
      repeat(() => sender.query('select send_gifts($1)', [gifts(run.users, run.streams[0], 200, 10)])),
      repeat(() => drainer.query("call drain_gift_ledger(200, 'test')")),
      repeat(() =>
        taker.query(
          `select reverse_gift(gift_id, 'test', 'me') from gifts
           where run_id = $1 and status = 'settled' order by seq desc limit 1`,
          [run.runId],
        ),
      ),
    ]);
    const audits: GiftAudit[] = [];
    try {
      while (audits.length < 8) audits.push(await auditGifts(db.pool));
    } finally {
      ended.abort();
    }
    for (const times of await work) expect(times).toBeGreaterThan(0);
    expect(audits.flatMap(violated)).toEqual([]);
    // they saw it moving: the snapshots differ
    expect(new Set(audits.map(({ counts }) => counts.gifts)).size).toBeGreaterThan(1);
    await db.pool.query('select purge_run($1)', [run.runId]);
  });

  it('is waited for by nobody: with all its reads done and its snapshot held, everything goes on', async () => {
    const run = await smallRun();
    const reader = await db.session();
    await reader.query(beginAuditSql);
    await reader.query(guardAuditSql);
    for (const { offenders } of auditChecks) await reader.query(auditCheckSql(offenders), [null, 20]);
    const impatient = await db.session();
    await impatient.query("set lock_timeout = '200ms'");
    await impatient.query('select send_gifts($1)', [gifts(run.users, run.streams[0], 10)]);
    await impatient.query('call drain_gift_ledger()');
    await impatient.query(
      "select reverse_gift(gift_id, 'test', 'me') from gifts where run_id = $1 and status = 'settled' limit 1",
      [run.runId],
    );
    await impatient.query('select purge_run($1)', [run.runId]);
    await reader.query('rollback');
  });

  it('waits for no lock of a round or a sender, and sees nothing of what is not committed', async () => {
    const run = await smallRun();
    const holder = await db.session();
    await holder.query('begin');
    await holder.query('select trollfix.try_settlement_lock()');
    await holder.query('select from wallets where run_id = $1 for update', [run.runId]);
    await holder.query('update wallets set balance = balance + 1 where run_id = $1', [run.runId]);
    await holder.query('select from gift_pending for update');
    expect(await auditGifts(db.pool)).toMatchObject({ violations: 0 });
    await holder.query('rollback');
    await db.pool.query('select purge_run($1)', [run.runId]);
  });

  it('gives up rather than hold its snapshot for long, or wait behind DDL', async () => {
    expect(await auditGifts(db.pool, { withinMs: 1 }).catch((error: unknown) => error)).toMatchObject({
      code: 'TF-GIFT-005',
    });
    const ddl = await db.session();
    await ddl.query('begin; lock table gift_ledger in access exclusive mode');
    expect(await auditGifts(db.pool).catch((error: unknown) => error)).toMatchObject({
      code: 'TF-GIFT-005',
      message: expect.stringContaining('held exclusively'),
    });
    await ddl.query('rollback');
    expect(await auditGifts(db.pool)).toMatchObject({ violations: 0 });
  });

  /** The audit's connection, once it waits for the table that is held. */
  const waiting = async () => {
    const sql =
      "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%gift_ledger%'";
    await expect.poll(() => db.one(sql), { interval: 20 }).toBeDefined();
    return db.one<number>(sql);
  };

  it('ends in the middle of a check when it is told to, and leaves no connection at it', async () => {
    const ddl = await db.session();
    await ddl.query('begin; lock table gift_ledger in access exclusive mode');
    const ended = new AbortController();
    // before the lock's own time is up, which would be another error
    const audit = auditGifts(db.pool, { signal: ended.signal }).catch((error: unknown) => error);
    const pid = await waiting();
    ended.abort(new Error('enough'));
    expect(await audit).toMatchObject({ message: 'enough' });
    const left = () => db.one<number>('select count(*)::int from pg_stat_activity where pid = $1', [pid]);
    await expect.poll(left, { timeout: 10_000 }).toBe(0);
    await ddl.query('rollback');
  });

  it('gives up on a server that keeps no timeout', async () => {
    const ddl = await db.session();
    await ddl.query('begin; lock table gift_ledger in access exclusive mode');
    const audit = auditGifts(db.pool, { withinMs: 1900 }).catch((error: unknown) => error);
    const pid = await waiting();
    process.kill(pid, 'SIGSTOP');
    try {
      expect(await audit).toMatchObject({ code: 'TF-GIFT-005', message: expect.stringContaining('1.9 s') });
    } finally {
      process.kill(pid, 'SIGCONT');
      await ddl.query('rollback');
    }
  });

  it('refuses a run that is not there: nothing would be looked at', async () => {
    expect(await auditGifts(db.pool, { runId: 'gone' }).catch((error: unknown) => error)).toMatchObject({
      code: 'TF-GIFT-004',
    });
  });
});
