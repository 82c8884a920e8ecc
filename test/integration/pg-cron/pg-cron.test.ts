import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { heldSnapshotSql } from '../../../src/provision/doctor.sql.ts';
import { doctor, doctorChecks } from '../../../src/provision/doctor.ts';
import { type HeldSnapshot, judgeHeld } from '../../../src/provision/doctor-database.ts';
import { checkDrift } from '../../../src/provision/drift.ts';
import { type ProvisionResult, provision } from '../../../src/provision/provision.ts';
import { auditGifts } from '../../../src/target/postgres/gift-audit.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { quiet } from '../database/provisioned.ts';
import { Postgres15, whyNoPostgres15 } from '../harness/postgres-15.ts';
import { bareTarget } from '../probes/probe-context.ts';

const missing = whyNoPostgres15(process.env);

/** The scheduler looks at its jobs at each full minute. */
const tickMs = 75_000;

let server: Postgres15;
let database: pg.Pool;
let admin: pg.Pool;
let target: Target;
let provisioned: ProvisionResult;
let users: string[];
let stream: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  server = await Postgres15.start({ maxRunningJobs: 2 });
  database = openDatabase(server.databaseUrl);
  admin = new pg.Pool({ connectionString: server.adminUrl, max: 2 });
  admin.on('error', () => {});
  target = bareTarget('http://127.0.0.1:9', { databaseUrl: new Secret(server.databaseUrl) });
  provisioned = await provision(database, quiet);
  const made = await one<{ users: { id: string }[]; streams: { id: string }[] }>(
    "select create_synthetic_run('pg-cron', 3, 1, 1000000)",
  );
  users = made.users.map(({ id }) => id);
  stream = made.streams[0]!.id; // one was asked for
});

afterAll(async () => {
  await admin?.end();
  await database?.end();
  await server?.[Symbol.asyncDispose]();
});

async function one<T>(sql: string, values: unknown[] = []): Promise<T> {
  const { rows } = await database.query({ text: sql, values, rowMode: 'array' });
  return rows[0]?.[0] as T; // the caller knows what it selected
}

const feed = (n: number) =>
  database.query('select send_gifts($1)', [
    JSON.stringify(
      Array.from({ length: n }, (_, i) => ({
        ...{ gift_id: randomUUID(), stream_id: stream, amount: 1 },
        ...{ sender_id: users[i % 3], receiver_id: users[(i + 1) % 3] },
      })),
    ),
  ]);
const pending = () => one<number>('select count(*)::int from gift_pending');

/** What doctor says of settlement, by id. */
async function settlement() {
  const checks = doctorChecks.filter(
    ({ id }) => id.startsWith('settlement.') || id === 'schema.current' || id === 'database.reachable',
  );
  const found = await doctor(
    { target, database, clock: systemClock, signal: AbortSignal.timeout(60_000) },
    { checks },
  );
  return Object.fromEntries(found.map((check) => [check.id, check]));
}

/** Changes something as the superuser, looks, and takes it back. */
async function planted(id: string, plant: string, undo: string) {
  await admin.query(plant);
  try {
    return (await settlement())[id];
  } finally {
    await admin.query(undo);
  }
}

const jobId = () =>
  one<string>("select jobid from cron.job where jobname = 'trollfix-settle' and username = 'postgres'");

/**
 * Waits until no run is at work or about to be: a minute may have begun since provisioning, and gifts sent late in the
 * run of that minute would be settled by two. Gives the last run.
 */
async function betweenRuns(): Promise<string> {
  let last = '';
  const atWork = async () => {
    const { rows } = await database.query<{ last: string; at_work: number }>(runsAtWorkSql);
    last = rows[0]!.last; // an aggregate has one row
    return rows[0]!.at_work;
  };
  await expect.poll(atWork, { timeout: tickMs, interval: 200 }).toBe(0);
  return last;
}

const runsAtWorkSql = `
select coalesce(max(d.runid), 0)::text as last,
  (count(*) filter (where d.status in ('starting', 'connecting', 'sending'))
    + (select count(*) from pg_stat_activity where application_name = 'pg_cron'))::int as at_work
from cron.job_run_details d`;

describe.skipIf(missing !== undefined)(
  `pg_cron of Debian${missing ? `: skipped, as ${missing}` : ''}`,
  () => {
    it('refuses seconds, so provisioning falls back to a job of a minute and says so', async () => {
      await expect(database.query("select cron.schedule('x', '10 seconds', 'select 1')")).rejects.toThrow(
        'invalid schedule: 10 seconds',
      );
      expect(provisioned).toMatchObject({
        problems: [],
        schedule: {
          ...{
            kind: 'pg_cron',
            schedule: '* * * * *',
            command: 'call public.drain_gift_ledger_for_a_minute()',
          },
          note: expect.stringContaining('knows no seconds'),
        },
      });
      expect((await settlement())['settlement.schedule']).toMatchObject({
        status: 'ok',
        detail: expect.stringContaining('drains six times'),
      });
      expect((await checkDrift(database)).drift).toEqual([]);
      // again: nothing changes, and no second job
      expect((await provision(database, quiet)).schedule).toMatchObject({ changed: false });
      expect(await one('select count(*)::int from cron.job')).toBe(1);
    });

    it('takes six fields without a word, and doctor does not', async () => {
      const id = await jobId();
      const found = await planted(
        'settlement.schedule',
        `update cron.job set schedule = '*/10 * * * * *' where jobid = ${id}`,
        `update cron.job set schedule = '* * * * *' where jobid = ${id}`,
      );
      expect(found).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining('the sixth is no seconds'),
      });
      // by its own function it can be had as well; provisioning puts it right
      await database.query(
        "select cron.schedule('trollfix-settle', '*/10 * * * * *', 'call public.drain_gift_ledger_for_a_minute()')",
      );
      expect((await checkDrift(database)).drift).toMatchObject([{ kind: 'schedule', problem: 'wrong' }]);
      expect((await provision(database, quiet)).schedule).toMatchObject({
        changed: true,
        schedule: '* * * * *',
      });
      expect((await settlement())['settlement.schedule']).toMatchObject({ status: 'ok' });
    });

    it('keeps the jobs of another role, which settle as well, and provisioning says so too', async () => {
      await admin.query(
        "select cron.schedule('trollfix-settle', '0 4 * * *', 'call public.drain_gift_ledger()')",
      );
      expect((await settlement())['settlement.schedule']).toMatchObject({
        ...{ status: 'fail', detail: expect.stringContaining('another job settles too, as supabase_admin') },
        fix: expect.stringContaining('cron.unschedule'),
      });
      expect((await provision(database, quiet)).problems).toMatchObject([
        { part: 'schedule', message: expect.stringContaining('as supabase_admin') },
      ]);
      await admin.query("select cron.unschedule('trollfix-settle')");
      expect((await settlement())['settlement.schedule']).toMatchObject({ status: 'ok' });
    });

    it('does not clean its history, and doctor sees that nobody does', async () => {
      const found = await planted(
        'settlement.history',
        "insert into cron.job_run_details (jobid, runid, status, start_time, end_time) values (0, -1, 'succeeded', now() - interval '30 days', now())",
        'delete from cron.job_run_details where runid = -1',
      );
      expect(found).toMatchObject({ status: 'warn', detail: expect.stringContaining('30 days old') });
    });

    it('says how long snapshots and prepared transactions hold row versions back', async () => {
      const holder = await admin.connect();
      await holder.query('begin isolation level repeatable read; select 1');
      await admin.query("begin; create table held (); prepare transaction 'forgotten'");
      const { rows } = await database.query<HeldSnapshot>(heldSnapshotSql, [0, 100_000]);
      await admin.query("rollback prepared 'forgotten'");
      await holder.query('rollback');
      holder.release();
      expect(rows.map(({ kind }) => kind).sort()).toEqual(['prepared', 'session']);
      for (const row of rows) expect(judgeHeld([row])).toMatchObject({ status: 'warn' });
      expect((await database.query(heldSnapshotSql, [60, 100_000])).rows).toEqual([]);
    });

    it(
      'settles at the next minute by itself, and again ten seconds later',
      async () => {
        const before = await betweenRuns();
        await feed(2000);
        await expect.poll(pending, { timeout: tickMs, interval: 500 }).toBe(0);
        await feed(50);
        await expect.poll(pending, { timeout: 30_000, interval: 500 }).toBe(0);
        const { rows: logs } = await database.query(
          'select trigger_source as source, claimed::int, backend_pid as pid from gift_batch_logs where claimed > 0 order by id',
        );
        expect(logs).toMatchObject([
          { source: 'cron', claimed: 2000 },
          { source: 'cron', claimed: 50, pid: logs[0].pid },
        ]);
        // by one run of the job, which goes on for most of the minute
        const { rows: runs } = await database.query(
          'select d.status from cron.job_run_details d join cron.job using (jobid) where d.runid > $1',
          [before],
        );
        expect(runs).toEqual([{ status: 'running' }]);
        const seen = await settlement();
        expect(seen).toMatchObject({
          ...{ 'settlement.cron': { status: 'ok' }, 'settlement.runs': { status: 'ok' } },
          ...{ 'settlement.capacity': { status: 'ok' }, 'settlement.history': { status: 'ok' } },
          'settlement.health': { status: 'ok' },
        });
        expect(await auditGifts(database)).toMatchObject({
          violations: 0,
          counts: { settled: 2050, pending: 0 },
        });
      },
      2 * tickMs + 45_000,
    );

    it('starves it behind others and lets it fail without a word, and doctor sees both', async () => {
      // jobs of @reboot start with the scheduler: as many as there is room for, and ours, which fails
      for (const name of ['one', 'two']) {
        await admin.query(`select cron.schedule('${name}', '@reboot', 'select pg_sleep(300)')`);
      }
      await database.query(
        "select cron.schedule('trollfix-settle', '@reboot', 'call public.no_such_thing()')",
      );
      await server.restart({ maxRunningJobs: 3 });
      const failed = () =>
        one<number>(
          "select count(*)::int from cron.job_run_details where return_message like '%no_such_thing%'",
        );
      await expect.poll(failed).toBe(1);
      await database.query("select cron.schedule('another', '0 4 * * *', 'select 1')");
      const roomy = await settlement();
      expect(roomy['settlement.runs']).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining('no_such_thing() does not exist'),
      });
      expect(roomy['settlement.capacity']).toMatchObject({
        status: 'warn',
        detail: expect.stringContaining('4 jobs'),
      });
      await server.restart({ maxRunningJobs: 2 });
      const running = () =>
        one<number>("select count(*)::int from pg_stat_activity where application_name = 'pg_cron'");
      await expect.poll(running).toBe(2);
      expect((await settlement())['settlement.capacity']).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining('2 jobs run now, and there is room for 2: others wait'),
      });
    });

    it('has a scheduler that can die for good, and doctor sees that', async () => {
      await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_cron scheduler'",
      );
      const status = async () => (await settlement())['settlement.cron'];
      await expect.poll(status).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining('the scheduler process is not running'),
      });
    });
  },
);
