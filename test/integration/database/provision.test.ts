import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { checkDrift } from '../../../src/provision/drift.ts';
import { exportSupabase, supabaseFileName } from '../../../src/provision/export-supabase.ts';
import { type Migration, readMigrations } from '../../../src/provision/migrations.ts';
import { provision } from '../../../src/provision/provision.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestPostgres, type TestPostgres } from '../harness/postgres.ts';
import { quiet } from './provisioned.ts';

let postgres: TestPostgres;
let pool: pg.Pool;

beforeAll(async () => {
  postgres = await startTestPostgres();
  pool = openDatabase(postgres.databaseUrl, { max: 6 });
});
afterAll(async () => {
  await pool?.end();
  await postgres?.stop();
});

/** Back to a project nobody provisioned yet. */
beforeEach(async () => {
  await pool.query(`
    drop schema if exists trollfix_provision cascade;
    drop schema if exists trollfix cascade;
    drop schema public cascade;
    create schema public;
    grant usage on schema public to anon, authenticated, service_role;
  `);
});

const migration = (name: string, sql: string): Migration => ({ name, sql, checksum: `sum of ${sql}` });

describe('provision', () => {
  it('applies everything once, and then nothing', async () => {
    const first = await provision(pool, quiet);
    expect(first.applied).toEqual((await readMigrations()).map(({ name }) => name));
    expect(first.problems).toEqual([]);
    expect(first.schedule.kind).toBe('settler');
    const second = await provision(pool, quiet);
    expect(second).toMatchObject({ applied: [], pending: [], publication: [] });
    expect((await checkDrift(pool)).drift).toEqual([]);
  });

  it('lets two of them at the same time share the work', async () => {
    const results = await Promise.all([
      provision(pool, quiet),
      provision(pool, quiet),
      provision(pool, quiet),
    ]);
    const applied = results.flatMap((result) => result.applied).sort();
    expect(applied).toEqual((await readMigrations()).map(({ name }) => name));
    expect((await checkDrift(pool)).drift).toEqual([]);
  });

  it('leaves nothing of a migration that fails, and keeps those before it', async () => {
    const migrations = [
      migration('000001_good', 'create schema trollfix; create table public.good (id int);'),
      migration(
        '000002_bad',
        'create table public.half (id int);\ninsert into public.half values (1);\nselect no_such_column from public.half;',
      ),
    ];
    const error = await provision(pool, { ...quiet, migrations }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TrollfixError);
    expect(error).toMatchObject({
      code: 'TF-PROV-002',
      details: { migration: '000002_bad', sqlstate: '42703', line: 3 },
    });
    const { rows } = await pool.query(
      "select to_regclass('public.good') is not null as good, to_regclass('public.half') is not null as half, (select array_agg(name) from trollfix_provision.migrations) as names",
    );
    expect(rows[0]).toEqual({ good: true, half: false, names: ['000001_good'] });
    // the connection it failed on is not poisoned
    expect(await provision(pool, { ...quiet, migrations }).catch((e: TrollfixError) => e.code)).toBe(
      'TF-PROV-002',
    );
  });

  it('says all of it in a dry run and writes nothing', async () => {
    const before = await catalogue();
    const result = await provision(pool, { ...quiet, dryRun: true });
    expect(result.pending).toHaveLength((await readMigrations()).length);
    for (const { sql } of await readMigrations()) expect(result.sql).toContain(sql.trim());
    expect(await catalogue()).toEqual(before);
    // what it printed is what it takes
    await pool.query(result.sql ?? '');
    expect(await pool.query('select 1 from public.gift_ledger').then(({ rows }) => rows)).toEqual([]);
  });

  it('refuses a database whose migrations were edited, or come from a newer version', async () => {
    await provision(pool, quiet);
    const shipped = await readMigrations();
    const edited = shipped.map((m, i) => (i === 2 ? { ...m, checksum: 'other' } : m));
    expect(await provision(pool, { ...quiet, migrations: edited }).catch((e: TrollfixError) => e.code)).toBe(
      'TF-PROV-001',
    );
    const older = shipped.slice(0, -1);
    expect(
      await provision(pool, { ...quiet, migrations: older }).catch((e: TrollfixError) => e.message),
    ).toContain('does not know');
  });

  it('says which way the database cannot be reached', async () => {
    const nobody = openDatabase('postgres://postgres:x@127.0.0.1:1/postgres');
    const stranger = openDatabase(postgres.databaseUrl.replace(/:[^:@]+@/, ':wrong@'));
    expect(await provision(nobody, quiet).catch((e: TrollfixError) => e.code)).toBe('TF-DB-001');
    expect(await provision(stranger, quiet).catch((e: TrollfixError) => e.code)).toBe('TF-DB-002');
    await Promise.all([nobody.end(), stranger.end()]);
  });
});

describe('drift', () => {
  const planted: ReadonlyArray<readonly [string, string, Record<string, string>]> = [
    [
      'a function with another body',
      "create or replace function trollfix.purging_run() returns text language sql stable set search_path = '' as $$ select 'x' $$",
      { kind: 'function', identity: 'trollfix.purging_run()', problem: 'changed' },
    ],
    [
      'a function somebody else may call',
      'grant execute on function public.send_gifts(jsonb) to anon',
      { kind: 'function', problem: 'changed' },
    ],
    [
      'a table without row security',
      'alter table public.wallets disable row level security',
      { kind: 'table', identity: 'public.wallets', problem: 'changed' },
    ],
    [
      'a table that clients may write',
      'grant insert on public.wallets to authenticated',
      { kind: 'grants', identity: 'public.wallets', problem: 'changed' },
    ],
    [
      'a trigger that is gone',
      'drop trigger gift_ledger_refuse_change on public.gift_ledger',
      { kind: 'trigger', identity: 'gift_ledger_refuse_change on public.gift_ledger', problem: 'missing' },
    ],
    [
      'a trigger that is switched off',
      'alter table public.gift_ledger disable trigger gift_ledger_refuse_change',
      { kind: 'trigger', problem: 'changed' },
    ],
    [
      'a table out of the publication',
      'alter publication supabase_realtime drop table public.streams',
      { kind: 'published table', identity: 'public.streams', problem: 'missing' },
    ],
    [
      'a policy nobody asked for',
      'create policy open on public.wallets for select to anon using (true)',
      { kind: 'policy', identity: 'open on public.wallets', problem: 'unexpected' },
    ],
    [
      'a policy that is gone',
      'drop policy wallets_read_own on public.wallets',
      { kind: 'policy', problem: 'missing' },
    ],
    [
      'a constraint that is gone',
      'alter table public.wallets drop constraint wallets_balance_check',
      { kind: 'constraint', problem: 'missing' },
    ],
    [
      'a column of another type',
      'alter table public.chat_messages alter column body type varchar(9000)',
      { kind: 'table', problem: 'changed' },
    ],
    [
      'an index that is gone',
      'drop index public.stream_bans_open_idx',
      { kind: 'index', problem: 'missing' },
    ],
    [
      'a view with other rights',
      'alter view public.gifts set (security_invoker = false)',
      { kind: 'view', problem: 'changed' },
    ],
    [
      'the sign-up trigger',
      'drop trigger trollfix_create_profile on auth.users',
      { kind: 'trigger', identity: 'trollfix_create_profile on auth.users', problem: 'missing' },
    ],
    [
      'a Realtime policy',
      'drop policy trollfix_channel_write on realtime.messages',
      { kind: 'policy', problem: 'missing' },
    ],
  ];

  it('is found, whatever was changed', async () => {
    await provision(pool, quiet);
    for (const [what, sql, expected] of planted) {
      const { drift } = await withPlanted(sql);
      expect(drift, what).toContainEqual(expect.objectContaining(expected));
    }
    expect((await checkDrift(pool)).drift).toEqual([]);
  });

  it('leaves other tables of the project alone', async () => {
    await provision(pool, quiet);
    await pool.query('create table public.theirs (id int); create policy p on public.theirs using (true)');
    expect((await checkDrift(pool)).drift).toEqual([]);
  });

  it('tells pending and edited migrations', async () => {
    const shipped = await readMigrations();
    expect((await checkDrift(pool)).drift.every(({ problem }) => problem === 'pending')).toBe(true);
    await provision(pool, quiet);
    const migrations = [
      ...shipped.map((m, i) => (i === 0 ? { ...m, checksum: 'other' } : m)),
      migration('000099_new', 'select 1'),
    ];
    expect((await checkDrift(pool, { migrations })).drift.map(({ problem }) => problem)).toEqual([
      'pending',
      'edited',
    ]);
  });

  it('is mended by provision where it is the platform that lost something', async () => {
    await provision(pool, quiet);
    await pool.query(
      'alter publication supabase_realtime drop table public.streams; drop trigger trollfix_create_profile on auth.users',
    );
    expect((await provision(pool, quiet)).publication).toEqual(['streams']);
    expect((await checkDrift(pool)).drift).toEqual([]);
  });

  /** Plants, checks, and undoes: DDL is transactional, so the check must see it in the same session. */
  async function withPlanted(sql: string) {
    const client = await pool.connect();
    try {
      await client.query(`begin; ${sql}`);
      const inTransaction = {
        query: (text: string, values?: unknown[]) =>
          /^(begin|rollback)/.test(text) ? Promise.resolve({ rows: [] }) : client.query(text, values),
        release: () => {},
      };
      // only `connect` is used of a pool, and only `query` and `release` of its client
      return await checkDrift({ connect: async () => inTransaction } as unknown as pg.Pool);
    } finally {
      await client.query('rollback');
      client.release();
    }
  }
});

describe('export for the Supabase CLI', () => {
  it('is taken over once it was pushed, and drift shows from then on', async () => {
    await pool.query('create table public.theirs (id int)');
    await pool.query(
      'create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key)',
    );
    try {
      for (const { name, sql } of await readMigrations()) {
        await pool.query(sql);
        const version = supabaseFileName(name).slice(0, 14);
        await pool.query('insert into supabase_migrations.schema_migrations values ($1)', [version]);
      }
      expect(await provision(pool, quiet)).toMatchObject({ applied: [], pending: [] });
      const { drift, objectsChecked } = await checkDrift(pool);
      expect(drift).toEqual([]);
      await pool.query(
        'alter table public.theirs add column x int; alter table public.wallets disable row level security',
      );
      expect((await checkDrift(pool)).drift).toEqual([
        expect.objectContaining({ kind: 'table', identity: 'public.wallets' }),
      ]);
      await pool.query(
        'drop schema trollfix_provision cascade; drop schema trollfix cascade; drop schema public cascade; create schema public',
      );
      await pool.query('drop schema supabase_migrations cascade');
      await provision(pool, quiet);
      expect((await checkDrift(pool)).objectsChecked, 'as many as when it applied them itself').toBe(
        objectsChecked,
      );
    } finally {
      await pool.query('drop schema if exists supabase_migrations cascade');
    }
  });

  it('writes ordered files once, and never over another text', async () => {
    const dir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-export-'));
    try {
      const first = await exportSupabase(dir);
      expect(await readdir(first.folder)).toEqual([...first.written].sort());
      expect(first.written.every((name) => /^\d{14}_trollfix_[a-z_]+\.sql$/.test(name))).toBe(true);
      expect(await exportSupabase(dir)).toMatchObject({ written: [], unchanged: first.written });
      const file = path.join(first.folder, first.written[0] ?? '');
      await writeFile(file, '-- mine');
      expect(await exportSupabase(dir).catch((e: TrollfixError) => e.code)).toBe('TF-PROV-004');
      expect(await readFile(file, 'utf8')).toBe('-- mine');
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

async function catalogue() {
  const { rows } = await pool.query(
    "select (select count(*) from pg_class) as relations, (select count(*) from pg_proc) as functions, (select array_agg(nspname order by 1) from pg_namespace where nspname !~ '^pg_(toast_)?temp') as schemas",
  );
  return rows[0];
}
