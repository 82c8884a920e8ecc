import { describe, expect, it } from 'vitest';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import {
  type CronFacts,
  type CronRun,
  judgeCapacity,
  judgeHistory,
  judgeRuns,
  judgeStarts,
} from '../../../src/provision/doctor-cron.ts';
import { judgeHeld } from '../../../src/provision/doctor-database.ts';
import { roleOfKey } from '../../../src/provision/doctor-services.ts';
import { judgeHealth } from '../../../src/provision/doctor-settlement.ts';
import { compareObjects } from '../../../src/provision/drift.ts';
import { supabaseFileName } from '../../../src/provision/export-supabase.ts';
import { readMigrations } from '../../../src/provision/migrations.ts';
import { type CronJob, judgeJobs } from '../../../src/provision/schedule.ts';
import { connectionConfig, databaseError } from '../../../src/target/postgres/pool.ts';

const expected = {
  kind: 'pg_cron',
  version: '1.6.4',
  job: 'trollfix-settle',
  schedule: '10 seconds',
  command: 'call public.drain_gift_ledger()',
} as const;
const job: CronJob = {
  ...{
    jobid: '1',
    jobname: 'trollfix-settle',
    schedule: '10 seconds',
    command: 'call public.drain_gift_ledger()',
    active: true,
  },
  ...{ username: 'postgres', database: 'postgres', me: 'postgres', here: 'postgres' },
};

describe('the settlement job', () => {
  it('is right when it is exactly what was asked for', () => {
    expect(judgeJobs(expected, [job])).toEqual([]);
  });

  it.each([
    ['six fields', { schedule: '*/10 * * * * *' }, 'the sixth is no seconds'],
    ['another pace', { schedule: '30 seconds' }, '"30 seconds", expected "10 seconds"'],
    ['another command', { command: 'select 1' }, 'command is'],
    ['switched off', { active: false }, 'switched off'],
    ['another database', { database: 'other' }, 'runs in database other'],
  ])('is wrong with %s', (_, change, detail) => {
    expect(judgeJobs(expected, [{ ...job, ...change }])).toEqual([
      { identity: 'trollfix-settle', detail: expect.stringContaining(detail) },
    ]);
  });

  it('is missing when it belongs to another role, and that one settles too', () => {
    expect(judgeJobs(expected, [{ ...job, username: 'admin' }]).map(({ detail }) => detail)).toEqual([
      expect.stringContaining('no job of this role'),
      expect.stringContaining('another job settles too, as admin'),
    ]);
    expect(judgeJobs(expected, [])).toHaveLength(1);
  });
});

describe('pg_cron', () => {
  const facts: CronFacts = {
    ...{
      launcher: true,
      preload: 'pg_cron',
      max_running_jobs: 5,
      max_worker_processes: 8,
      background_workers: true,
    },
    ...{
      version: '1.6.4',
      jobs: 1,
      running: 0,
      server_up_s: 10_000,
      history_rows: 1000,
      oldest_history_days: 3,
    },
  };
  const run: CronRun = { status: 'succeeded', return_message: null, started_s_ago: 5, gap_s: 10 };
  const failed: CronRun = { ...run, status: 'failed', return_message: 'ERROR: x' };

  it('is well when its launcher lives, its job keeps to the pace and there is room', () => {
    expect(judgeStarts(facts, [run, run], 25).status).toBe('ok');
    expect(judgeRuns([run, run]).status).toBe('ok');
    expect(judgeCapacity(facts).status).toBe('ok');
    expect(judgeHistory(facts).status).toBe('ok');
  });

  it.each([
    ['no launcher', { ...facts, launcher: false }, [run], 'fail', 'not running'],
    ['no library', { ...facts, launcher: false, preload: '' }, [run], 'fail', 'lacks pg_cron'],
    ['a launcher that does nothing', facts, [{ ...run, started_s_ago: 40 }], 'fail', '40 s ago'],
    ['a gap: other jobs starve it', facts, [run, { ...run, gap_s: 40 }], 'warn', '40 s between'],
    ['a job that is new: nobody knows for how long', facts, [], 'warn', 'not started yet'],
  ])('does not start on time with %s', (_, these, runs, status, detail) => {
    expect(judgeStarts(these, runs, 25)).toMatchObject({ status, detail: expect.stringContaining(detail) });
  });

  it('has a last run that failed, or one before it; what a restart cut off is no failure', () => {
    expect(judgeRuns([failed, run])).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('ERROR: x'),
    });
    expect(judgeRuns([{ ...run, status: 'running' }, failed]).status).toBe('fail');
    expect(judgeRuns([run, failed])).toMatchObject({ status: 'warn' });
    expect(judgeRuns([{ ...failed, return_message: 'server restarted' }, run]).status).toBe('ok');
  });

  it('has no room when as many jobs run as may, or more than that may come due', () => {
    expect(judgeCapacity({ ...facts, running: 5, jobs: 6 })).toMatchObject({ status: 'fail' });
    expect(judgeCapacity({ ...facts, running: 5, jobs: 5 })).toMatchObject({ status: 'ok' });
    expect(judgeCapacity({ ...facts, jobs: 6 })).toMatchObject({ status: 'warn' });
    const many = { ...facts, max_running_jobs: 32, jobs: 9 };
    expect(judgeCapacity(many)).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('room for 8 (max_worker_processes)'),
    });
    expect(judgeCapacity({ ...many, background_workers: false }).status).toBe('ok');
    const old = { ...facts, version: '1.4-1', jobs: 2 };
    expect(judgeCapacity(old)).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('waits for each background worker'),
    });
    expect(judgeCapacity({ ...old, background_workers: false }).status).toBe('ok');
    expect(judgeCapacity({ ...facts, max_running_jobs: null }).status).toBe('skip');
  });

  it('has a history that nobody cleans', () => {
    expect(judgeHistory({ ...facts, history_rows: 900_000 })).toMatchObject({ status: 'warn' });
    expect(judgeHistory({ ...facts, oldest_history_days: 30 })).toMatchObject({ status: 'warn' });
    expect(judgeHistory({ ...facts, history_rows: -1, oldest_history_days: null }).status).toBe('ok');
  });
});

describe('health', () => {
  const fresh = {
    ...{ verdict: 'stalled', backlog: '0', oldest_pending_s: null },
    ...{ since_last_finish_s: null, last_error: null },
  };

  it('is no failure before anybody had the time to settle, and one when a gift waits in vain', () => {
    expect(judgeHealth(fresh)).toMatchObject({ status: 'warn', detail: expect.stringContaining('yet') });
    expect(judgeHealth({ ...fresh, backlog: '1', oldest_pending_s: 20 }).status).toBe('warn');
    expect(judgeHealth({ ...fresh, backlog: '1', oldest_pending_s: 70 }).status).toBe('fail');
    expect(judgeHealth({ ...fresh, last_error: 'x' }).status).toBe('fail');
    expect(judgeHealth({ ...fresh, since_last_finish_s: 40 }).status).toBe('fail');
    expect(judgeHealth({ ...fresh, verdict: 'late', since_last_finish_s: 5 }).status).toBe('warn');
    expect(judgeHealth({ ...fresh, verdict: 'ok', since_last_finish_s: 5 }).status).toBe('ok');
  });
});

describe('held snapshots', () => {
  const session = {
    kind: 'session',
    name: '7',
    who: 'psql, ada, idle in transaction',
    held_s: 90,
    transactions: null,
  } as const;

  it('are told with who holds them and what ends it', () => {
    expect(judgeHeld([]).status).toBe('ok');
    expect(judgeHeld([session, session])).toMatchObject({
      ...{ status: 'warn', fix: "psql -c 'select pg_terminate_backend(7)'" },
      detail: expect.stringMatching(/pid 7 \(psql, ada, .*\) holds one for 90 s; and 1 more/),
    });
    expect(
      judgeHeld([{ ...session, kind: 'slot', name: 'old', held_s: null, transactions: 5 }]),
    ).toMatchObject({
      fix: expect.stringContaining("pg_drop_replication_slot('old')"),
    });
  });
});

describe('databaseError', () => {
  const failure = (code: string, message = 'x') => Object.assign(new Error(message), { code });
  it.each([
    ['ECONNREFUSED', 'TF-DB-001'],
    ['57P03', 'TF-DB-001'],
    ['3D000', 'TF-DB-001'],
    ['28P01', 'TF-DB-002'],
    ['42P01', 'TF-DB-003'],
    ['42883', 'TF-DB-003'],
  ])('%s is %s', (code, expectedCode) => {
    expect(databaseError(failure(code))).toMatchObject({ code: expectedCode });
  });

  it('leaves everything else as it is', () => {
    const bug = failure('23514');
    expect(databaseError(bug)).toBe(bug);
    const known = new TrollfixError('TF-GIFT-001', 'x');
    expect(databaseError(known)).toBe(known);
    expect(
      databaseError(new AggregateError([failure('ECONNREFUSED'), failure('ECONNREFUSED')])),
    ).toMatchObject({ code: 'TF-DB-001' });
    expect(databaseError(new Error('Connection terminated unexpectedly'))).toMatchObject({
      code: 'TF-DB-001',
    });
  });
});

describe('connectionConfig', () => {
  it('encrypts to any host that is not this one, unless the URL says otherwise', () => {
    expect(connectionConfig('postgres://u:p@db.example.com/postgres').ssl).toEqual({
      rejectUnauthorized: false,
    });
    expect(connectionConfig('postgres://u:p@127.0.0.1:5/postgres').ssl).toBeUndefined();
    expect(
      connectionConfig('postgres://u:p@db.example.com/postgres?sslmode=verify-full').ssl,
    ).toBeUndefined();
  });

  it('does not repeat a URL it cannot read: a password may be in it', () => {
    const read = () => connectionConfig('not a url with hunter2');
    expect(read).toThrow(TrollfixError);
    expect(read).not.toThrow(/hunter2/);
  });
});

describe('migrations', () => {
  it('are numbered without a gap, and have ordered names in the Supabase CLI’s form', async () => {
    const names = (await readMigrations()).map(({ name }) => name);
    expect(names.map((name) => Number(name.slice(0, 6)))).toEqual(names.map((_, i) => i + 1));
    expect(supabaseFileName('000012_more_things')).toBe('20260101000012_trollfix_more_things.sql');
    const exported = names.map(supabaseFileName);
    expect([...exported].sort()).toEqual(exported);
  });
});

describe('keys', () => {
  it('tell their role', () => {
    const jwt = `x.${Buffer.from('{"role":"service_role"}').toString('base64url')}.y`;
    expect([jwt, 'sb_publishable_a', 'sb_secret_a', 'x.!!!.y', 'plain', 'x.MQ.y'].map(roleOfKey)).toEqual([
      'service_role',
      'anon',
      'service_role',
      null,
      null,
      null,
    ]);
  });
});

describe('compareObjects', () => {
  const inventory = (...objects: Array<[string, string, string]>) =>
    new Map(
      objects.map(([kind, identity, definition]) => [`${kind} ${identity}`, { kind, identity, definition }]),
    );

  it('tells what is missing, changed and unexpected, and minds nobody else’s', () => {
    const registered = inventory(
      ['table', 'public.a', 'x'],
      ['function', 'public.f()', 'one\ntwo'],
      ['policy', 'p on public.a', 'y'],
    );
    const present = inventory(
      ['table', 'public.a', 'x'],
      ['function', 'public.f()', 'one\nthree'],
      ['policy', 'q on public.a', 'z'],
      ['policy', 'r on public.theirs', 'z'],
      ['table', 'public.theirs', 'z'],
    );
    expect(compareObjects(registered, present)).toEqual([
      { kind: 'function', identity: 'public.f()', problem: 'changed', detail: 'was "two", is "three"' },
      { kind: 'policy', identity: 'p on public.a', problem: 'missing', detail: 'not there any more' },
      { kind: 'policy', identity: 'q on public.a', problem: 'unexpected', detail: expect.any(String) },
    ]);
  });
});
