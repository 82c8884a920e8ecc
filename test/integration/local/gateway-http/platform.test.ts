import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { platformStatements } from '../../../../src/local/gateway/platform/platform.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';

let postgres: TestPostgres;
let owner: pg.Client;

beforeAll(async () => {
  postgres = await startTestPostgres();
  owner = new pg.Client(postgres.databaseUrl);
  await owner.connect();
});
afterAll(async () => {
  await owner?.end();
  await postgres?.stop();
});

async function refusal(sql: string, client = owner): Promise<string | undefined> {
  try {
    await client.query(sql);
    return undefined;
  } catch (error) {
    return error instanceof pg.DatabaseError ? error.code : String(error);
  }
}

describe('the role postgres, as on hosted', () => {
  test('is no superuser, but bypasses row security and owns the database', async () => {
    const { rows } = await owner.query(
      `select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles where rolname = current_user`,
    );
    expect(rows).toEqual([
      { rolsuper: false, rolbypassrls: true, rolcreaterole: true, rolcreatedb: true, rolreplication: true },
    ]);
    expect(await refusal('alter system set work_mem = 100')).toBe('42501');
    expect(await refusal("copy (select 1) to program 'true'")).toBe('42501');
  });

  test.each([
    'create schema made_here',
    'create extension if not exists pg_trgm with schema extensions',
    'create table public.made (id int primary key, owner uuid references auth.users (id))',
    'alter publication supabase_realtime add table public.made',
    `create function public.on_user() returns trigger language plpgsql as $$ begin return new; end $$`,
    'create trigger on_user after insert on auth.users for each row execute function public.on_user()',
    'drop trigger on_user on auth.users',
    "alter role authenticated set statement_timeout = '8s'",
    'select pg_terminate_backend(0)',
    'select count(*) from auth.users',
    'set session_replication_role = replica; reset session_replication_role',
    'set role service_role; reset role',
    'select query from pg_stat_activity',
  ])('may: %s', async (sql) => {
    expect(await refusal(sql)).toBeUndefined();
  });

  test.each([
    'create table auth.mine (id int)',
    'alter table auth.users add column mine int',
    'drop table auth.identities',
    'create or replace function auth.uid() returns uuid language sql as $$ select null::uuid $$',
    'set role supabase_admin',
    'set role supabase_auth_admin',
  ])('may not: %s', async (sql) => {
    expect(await refusal(sql)).toBe('42501');
    await owner.query('reset role');
  });
});

test('what postgres makes in public is granted to the API roles: row security is the only protection', async () => {
  await owner.query('create table public.open_by_default (id int)');
  const { rows } = await owner.query(
    `select r.rolname, has_table_privilege(r.oid, 'public.open_by_default', 'select, insert, update, delete') as may
     from pg_roles r where rolname in ('anon', 'authenticated', 'service_role') order by 1`,
  );
  expect(rows).toEqual(['anon', 'authenticated', 'service_role'].map((rolname) => ({ rolname, may: true })));
});

test('authenticator has nothing of its own and may become the three API roles only', async () => {
  const client = new pg.Client(postgres.authenticatorUrl);
  await client.connect();
  try {
    expect(await refusal('select * from public.open_by_default', client)).toBe('42501');
    for (const role of ['anon', 'authenticated', 'service_role']) {
      expect(await refusal(`set role ${role}`, client)).toBeUndefined();
      await client.query('reset role');
    }
    for (const role of ['postgres', 'supabase_admin', 'supabase_auth_admin']) {
      expect(await refusal(`set role ${role}`, client)).toBe('42501');
    }
    await client.query('set role service_role');
    expect(await refusal('select encrypted_password from auth.users', client)).toBe('42501');
  } finally {
    await client.end();
  }
});

test('claims reach auth.uid(), auth.role(), auth.email() and auth.jwt()', async () => {
  const sub = '5b0c3b0e-0d3f-4a8e-9c55-2f6d9f0f8a11';
  await owner.query('begin');
  await owner.query("select set_config('request.jwt.claims', $1, true)", [
    JSON.stringify({ sub, role: 'authenticated', email: 'a@b.c' }),
  ]);
  const { rows } = await owner.query(
    "select auth.uid() as uid, auth.role() as role, auth.email() as email, auth.jwt() ->> 'sub' as sub",
  );
  await owner.query('rollback');
  expect(rows).toEqual([{ uid: sub, role: 'authenticated', email: 'a@b.c', sub }]);
  expect((await owner.query('select auth.uid() as uid')).rows).toEqual([{ uid: null }]);
});

test('the statements can be run again, keep what a project set, and escape passwords', async () => {
  await owner.query("alter role anon set statement_timeout = '4s'");
  const admin = new pg.Client(postgres.adminUrl);
  await admin.connect();
  try {
    const odd = `it's "odd" \\ $$ \0`.replace('\0', '');
    for (let i = 0; i < 2; i++) {
      for (const sql of platformStatements({ authenticatorPassword: odd, postgresPassword: odd }))
        await admin.query(sql);
    }
    const { rows } = await admin.query(
      "select setconfig from pg_db_role_setting where setrole = 'anon'::regrole and setdatabase = 0",
    );
    expect(rows[0].setconfig).toContain('statement_timeout=4s');
    const url = new URL(postgres.databaseUrl);
    const client = new pg.Client({
      host: url.hostname,
      port: Number(url.port),
      database: 'postgres',
      user: 'postgres',
      password: odd,
    });
    await client.connect();
    await client.end();
  } finally {
    await admin.end();
  }
});
