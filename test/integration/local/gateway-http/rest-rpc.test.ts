import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayFixture, jsonObject, startGatewayFixture } from './gateway-fixture.ts';
import { restSchemaSql } from './rest-schema.sql.ts';

let f: GatewayFixture;

beforeAll(async () => {
  f = await startGatewayFixture();
  await f.owner.query(restSchemaSql);
});
afterAll(() => f?.stop());

const anon = () => f.client(f.keys.anon);

function post(path: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return f.fetch(path, { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } });
}

describe('results', () => {
  test('scalar, null, void', async () => {
    expect((await anon().rpc('add', { a: 1, b: 5 })).data).toBe(6);
    expect((await anon().rpc('add', { a: 1 })).data).toBe(3);
    expect((await anon().rpc('add', { a: null })).data).toBeNull();
    expect((await anon().rpc('no_args')).data).toBe('hi');
    const nothing = await anon().rpc('nothing');
    expect({ status: nothing.status, data: nothing.data, error: nothing.error }).toEqual({
      status: 204,
      data: null,
      error: null,
    });
  });

  test('row, set of rows, set of scalars, table, jsonb', async () => {
    expect((await anon().rpc('one_book', { p_id: 1 })).data).toMatchObject({ id: 1, title: 'One, two' });
    expect((await anon().rpc('all_books')).data).toHaveLength(4);
    expect((await anon().rpc('numbers', { n: 3 })).data).toEqual([1, 2, 3]);
    expect((await anon().rpc('pairs')).data).toEqual([
      { k: 1, v: 'a' },
      { k: 2, v: 'b' },
    ]);
    expect((await anon().rpc('echo', { payload: { a: [1, null] } })).data).toEqual({ a: [1, null] });
  });

  test('rows can be selected from, filtered, ordered, paged, counted and embedded', async () => {
    const rows = await anon()
      .rpc('all_books', {}, { count: 'exact' })
      .select('id,covers(colour)')
      .gt('pages', 10)
      .order('id', { ascending: false })
      .limit(2);
    expect({ data: rows.data, count: rows.count, status: rows.status }).toEqual({
      data: [
        { id: 4, covers: null },
        { id: 3, covers: null },
      ],
      count: 3,
      status: 206,
    });
    expect((await anon().rpc('pairs').eq('k', 2)).data).toEqual([{ k: 2, v: 'b' }]);
    expect((await anon().rpc('all_books').eq('id', 1).single()).data).toMatchObject({ id: 1 });
    const none = await anon().rpc('all_books').eq('id', 99).single();
    expect({ status: none.status, code: none.error?.code }).toEqual({ status: 406, code: 'PGRST116' });
    const head = await anon().rpc('all_books', {}, { head: true, count: 'exact' });
    expect({ count: head.count, data: head.data }).toEqual({ count: 4, data: null });
  });

  test('the database may set status and headers', async () => {
    const response = await post('/rest/v1/rpc/created', '{}');
    expect({
      status: response.status,
      made: response.headers.get('x-made'),
      body: await response.json(),
    }).toEqual({ status: 202, made: 'here', body: 'ok' });
  });
});

describe('arguments', () => {
  test('by GET, with filters beside them', async () => {
    expect((await anon().rpc('add', { a: 2, b: 3 }, { get: true })).data).toBe(5);
    expect(await (await f.fetch('/rest/v1/rpc/sum_all?xs=1&xs=2&xs=3')).json()).toBe(6);
    expect(await (await f.fetch('/rest/v1/rpc/sum_all?xs={4,5}')).json()).toBe(9);
    expect(await (await f.fetch('/rest/v1/rpc/pairs?k=eq.1&select=v')).json()).toEqual([{ v: 'a' }]);
  });

  test('variadic and whole-body JSON by POST', async () => {
    expect((await anon().rpc('sum_all', { xs: [1, 2, 3] })).data).toBe(6);
    expect(await (await post('/rest/v1/rpc/raw', '[1,{"a":2}]')).json()).toEqual([1, { a: 2 }]);
    expect(await (await post('/rest/v1/rpc/raw', '{"x":9007199254740993}')).text()).toBe(
      '{"x": 9007199254740993}',
    );
  });

  test('overloads that both fit are 300 PGRST203', async () => {
    const { status, error } = await anon().rpc('twice', { a: 1 });
    expect({ status, code: error?.code, message: error?.message }).toEqual({
      status: 300,
      code: 'PGRST203',
      message:
        'Could not choose the best candidate function between: public.twice(a => integer), public.twice(a => text)',
    });
  });

  test('what does not fit is 404 PGRST202 and says what was looked for', async () => {
    const wrong = await anon().rpc('add', { a: 1, c: 2 });
    expect({ status: wrong.status, ...wrong.error }).toMatchObject({
      status: 404,
      code: 'PGRST202',
      message: 'Could not find the function public.add(a, c) in the schema cache',
      hint: 'Perhaps you meant to call the function public.add(a, b)',
    });
    const typo = await anon().rpc('ad');
    expect(typo.error).toMatchObject({
      code: 'PGRST202',
      message: 'Could not find the function public.ad without parameters in the schema cache',
      hint: 'Perhaps you meant to call the function public.add',
    });
    // built-in functions are not exposed
    expect((await anon().rpc('pg_sleep', { seconds: 1 })).status).toBe(404);
  });

  test.each([
    ['no JSON', '{', 400, 'PGRST102'],
    ['a scalar', '5', 400, 'PGRST102'],
    ['a wrong type', '{"a":"x"}', 400, '22P02'],
    ['SQL in a name', '{"a\\" int) as x, (select 1) as (\\"b":1}', 404, 'PGRST202'],
  ])('%s as body is refused', async (_what, body, status, code) => {
    const response = await post('/rest/v1/rpc/add', body);
    expect({ status: response.status, code: (await jsonObject(response)).code }).toEqual({ status, code });
  });

  test('methods other than GET, HEAD and POST are 405', async () => {
    const put = await f.fetch('/rest/v1/rpc/add', { method: 'PUT', body: '{}' });
    expect({ status: put.status, code: (await jsonObject(put)).code }).toEqual({
      status: 405,
      code: 'PGRST101',
    });
    const table = await f.fetch('/rest/v1/books', { method: 'PUT', body: '{}' });
    expect({ status: table.status, code: (await jsonObject(table)).code }).toEqual({
      status: 405,
      code: 'PGRST117',
    });
  });
});

describe('errors raised by functions', () => {
  test.each([
    ['P0001', 400],
    ['PT403', 403],
    ['PT409', 409],
    ['PT429', 429],
    ['23505', 409],
    ['40001', 500],
  ])('%s is %i with message, details and hint', async (state, status) => {
    const result = await anon().rpc('fail', { p_state: state });
    expect({ status: result.status, ...result.error }).toMatchObject({
      status,
      code: state,
      message: `failed with ${state}`,
      details: 'the detail',
      hint: 'the hint',
    });
  });

  test('RAISE SQLSTATE PGRST', async () => {
    const response = await post('/rest/v1/rpc/teapot', '{}');
    expect({
      status: response.status,
      pot: response.headers.get('x-pot'),
      ...(await jsonObject(response)),
    }).toMatchObject({ status: 418, pot: 'tea', code: 'T1', message: 'short and stout' });
  });

  test('a function without EXECUTE is 401 for a guest, 403 for the service role', async () => {
    expect((await anon().rpc('hidden')).status).toBe(401);
    expect((await f.client(f.keys.serviceRole).rpc('hidden')).status).toBe(403);
  });
});

describe('the transaction of a request', () => {
  test('role, claims, method, path, headers and timeout are set', async () => {
    const response = await post('/rest/v1/rpc/whoami', '{}', { 'X-Probe': 'yes' });
    expect(await response.json()).toMatchObject({
      role: 'anon',
      claims: { role: 'anon', iss: 'supabase' },
      method: 'POST',
      path: '/rpc/whoami',
      header: 'yes',
      timeout: '3s',
      // a stable function gets a read-only transaction even by POST
      read_only: 'on',
    });
    expect((await f.client(f.keys.secret).rpc('whoami')).data).toMatchObject({
      role: 'service_role',
      timeout: '8s',
    });
    expect((await f.client(f.keys.publishable).rpc('whoami')).data).toMatchObject({
      role: 'anon',
      claims: { iss: 'supabase' },
    });
  });

  test('GET is read only: a volatile function that writes is 405 25006', async () => {
    const result = await anon().rpc('insert_item', { p_code: 'get' }, { get: true });
    expect({ status: result.status, code: result.error?.code }).toEqual({ status: 405, code: '25006' });
    expect((await anon().rpc('insert_item', { p_code: 'post' })).error).toBeNull();
  });

  test("the role's statement timeout ends a slow call with 57014", async () => {
    await f.owner.query("alter role anon set statement_timeout = '200ms'; notify pgrst, 'reload config'");
    // the cache hears of it within moments; a miss makes it hear now
    await anon().from('not_there').select();
    const result = await anon().rpc('slow', { p_s: 5 });
    expect({ status: result.status, code: result.error?.code }).toEqual({ status: 500, code: '57014' });
    await f.owner.query("alter role anon set statement_timeout = '3s'; notify pgrst, 'reload config'");
    await anon().from('not_there').select();
    expect((await anon().rpc('slow', { p_s: 0.3 })).error).toBeNull();
  });

  test.each([
    ['a role that does not exist', 'nobody_at_all', 401],
    ['a role authenticator may not take', 'supabase_admin', 403],
    ['postgres', 'postgres', 403],
    ['SQL in the role', 'anon; drop table books', 401],
  ])('%s gets nowhere', async (_what, role, status) => {
    const token = await new SignJWT({ role })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(f.jwtSecret));
    const response = await f.fetch('/rest/v1/books', { headers: { Authorization: `Bearer ${token}` } });
    expect(response.status).toBe(status);
  });

  test('an expired token is 401 PGRST303, a forged one PGRST301', async () => {
    const expired = await new SignJWT({ role: 'service_role' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(Date.now() / 1000) - 120)
      .sign(new TextEncoder().encode(f.jwtSecret));
    const answer = async (bearer: string) => {
      const response = await f.fetch('/rest/v1/books', { headers: { Authorization: `Bearer ${bearer}` } });
      const { code, message } = await jsonObject(response);
      return { status: response.status, code, message, challenge: response.headers.get('www-authenticate') };
    };
    expect(await answer(expired)).toEqual({
      status: 401,
      code: 'PGRST303',
      message: 'JWT expired',
      challenge: 'Bearer error="invalid_token", error_description="JWT expired"',
    });
    expect(await answer(`${f.keys.serviceRole}x`)).toMatchObject({ status: 401, code: 'PGRST301' });
    expect(await answer(f.keys.secret)).toMatchObject({ status: 401, code: 'PGRST301' });
  });
});
