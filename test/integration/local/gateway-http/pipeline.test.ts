import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPipeline, type Statement } from '../../../../src/local/gateway/rest/pipeline.ts';
import { setupStatement } from '../../../../src/local/gateway/rest/setup-sql.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';

let postgres: TestPostgres;
/** One connection: whatever a pipeline leaves behind, the next one meets. */
let pool: pg.Pool;

beforeAll(async () => {
  postgres = await startTestPostgres();
  pool = new pg.Pool({ connectionString: postgres.authenticatorUrl, max: 1 });
  pool.on('error', () => {});
  const owner = new pg.Client(postgres.databaseUrl);
  await owner.connect();
  await owner.query('create table public.t (id int primary key)');
  await owner.end();
});
afterAll(async () => {
  await pool?.end();
  await postgres?.stop();
});

const sql = (text: string, ...values: (string | null)[]): Statement => ({ text, values });
const commit = { rollback: false };

function asAnon(): Statement {
  const claims = { role: 'anon', sub: 'someone' };
  const input = { method: 'POST', path: 't', query: '', headers: { 'x-secret': 's' }, body: '', claims };
  const catalogue = {
    tables: new Map(),
    tablesByOid: new Map(),
    foreignKeys: [],
    functions: new Map(),
    types: new Map(),
    statementTimeouts: new Map([['anon', '3s']]),
  };
  return setupStatement(input, catalogue, false);
}

async function sessionState(): Promise<(string | null)[] | undefined> {
  const state = sql(
    `select current_user, nullif(current_setting('request.jwt.claims', true), ''), nullif(current_setting('request.headers', true), ''),
       current_setting('transaction_read_only'), current_setting('statement_timeout')`,
  );
  const [rows] = await runPipeline(pool, [state], commit);
  return rows?.[0] && [...rows[0]];
}

const untouched = ['authenticator', null, null, 'off', '8s'];

test.each([
  ['a commit', [sql('select 1')], commit, undefined],
  ['a rollback', [sql('select 1')], { rollback: true }, undefined],
  ['a statement that fails', [sql('select 1 / 0')], commit, '22012'],
  ['a statement that cannot be parsed', [sql('select nope()')], commit, '42883'],
  [
    'a check that refuses',
    [sql('select 1')],
    {
      rollback: false,
      check: () => {
        throw new Error('refused');
      },
    },
    'refused',
  ],
])('nothing of role, claims or settings is left after %s', async (_what, statements, options, failure) => {
  const outcome = await runPipeline(pool, [asAnon(), ...statements], options).then(
    () => undefined,
    (error: unknown) => (error instanceof pg.DatabaseError ? error.code : String(error)),
  );
  if (failure === undefined) expect(outcome).toBeUndefined();
  else expect(outcome).toContain(failure);
  expect(await sessionState()).toEqual(untouched);
});

test('the statements see the role and each other, and are one transaction', async () => {
  const insert = sql('insert into public.t values ($1)', '1');
  const [, , rows] = await runPipeline(
    pool,
    [asAnon(), insert, sql('select current_user, (select count(*) from public.t)')],
    commit,
  );
  expect(rows).toEqual([['anon', '1']]);
  await expect(
    runPipeline(pool, [asAnon(), sql('insert into public.t values (2)'), insert], commit),
  ).rejects.toMatchObject({ code: '23505' });
  const [, after] = await runPipeline(pool, [asAnon(), sql('select count(*) from public.t')], commit);
  expect(after).toEqual([['1']]);
});

test('a statement that failed to parse is never taken for another', async () => {
  const bad = sql('select missing_function()');
  const good = sql("select 'good'");
  const other = sql("select 'other'");
  for (let i = 0; i < 3; i++) {
    await expect(runPipeline(pool, [bad], commit)).rejects.toMatchObject({ code: '42883' });
    expect(await runPipeline(pool, [good, other], commit)).toEqual([[['good']], [['other']]]);
    expect(await runPipeline(pool, [other], commit)).toEqual([[['other']]]);
  }
});

test('prepared statements are kept for what is used and bounded for what is not', async () => {
  const kept = sql("select 'kept'");
  for (let i = 0; i < 450; i++) await runPipeline(pool, [kept, sql(`select ${i} as n`)], commit);
  const [names] = await runPipeline(pool, [sql('select statement from pg_prepared_statements')], commit);
  expect(names?.length).toBeLessThanOrEqual(205);
  expect(names?.map(([text]) => text)).toContain(kept.text);
});

test('NULL, empty text and text of any bytes arrive as they were', async () => {
  const odd = 'é"\'\\\n😀';
  const [rows] = await runPipeline(pool, [sql('select $1::text, $2::text, $3::text', null, '', odd)], commit);
  expect(rows).toEqual([[null, '', odd]]);
});
