import { randomUUID } from 'node:crypto';
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

const service = () => f.client(f.keys.serviceRole);

async function itemCount(where = 'true'): Promise<number> {
  const { rows } = await f.owner.query<{ n: number }>(
    `select count(*)::int as n from public.items where ${where}`,
  );
  return rows[0]?.n ?? -1;
}

async function userToken(sub: string): Promise<string> {
  return new SignJWT({ role: 'authenticated', aud: 'authenticated' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(f.jwtSecret));
}

describe('insert', () => {
  test('one row: 201 and nothing, or the columns asked for', async () => {
    const silent = await service().from('items').insert({ code: 'a' });
    expect({ status: silent.status, data: silent.data, error: silent.error }).toEqual({
      status: 201,
      data: null,
      error: null,
    });
    const shown = await service().from('items').insert({ code: 'b', qty: 3 }).select('code,qty').single();
    expect(shown.data).toEqual({ code: 'b', qty: 3 });
  });

  test('many rows: what one leaves out is null, or the default with defaultToNull: false', async () => {
    const nulls = await service()
      .from('items')
      .insert([{ code: 'c', qty: 1 }, { code: 'd' }])
      .select('code,qty')
      .order('code');
    expect(nulls.data).toEqual([
      { code: 'c', qty: 1 },
      { code: 'd', qty: null },
    ]);
    const defaults = await service()
      .from('items')
      .insert([{ code: 'e', qty: 1 }, { code: 'f' }], { defaultToNull: false })
      .select('code,qty')
      .order('code');
    expect(defaults.data).toEqual([
      { code: 'e', qty: 1 },
      { code: 'f', qty: 7 },
    ]);
  });

  test('counts, an empty list and an empty object', async () => {
    const counted = await service()
      .from('items')
      .insert([{ code: 'g' }, { code: 'h' }], { count: 'exact' });
    expect(counted.count).toBe(2);
    const before = await itemCount();
    const nothing = await service().from('items').insert([]).select();
    expect({ status: nothing.status, data: nothing.data }).toEqual({ status: 201, data: [] });
    expect(await itemCount()).toBe(before);
    const empty = await service().from('items').insert({}).select('qty').single();
    expect(empty.data).toEqual({ qty: 7 });
  });

  test('headers-only says where the row is', async () => {
    const response = await f.fetch('/rest/v1/authors', {
      method: 'POST',
      key: f.keys.serviceRole,
      headers: { Prefer: 'return=headers-only', 'Content-Type': 'application/json' },
      body: '{"id": 50, "name": "Loc"}',
    });
    expect({
      status: response.status,
      location: response.headers.get('location'),
      body: await response.text(),
    }).toEqual({
      status: 201,
      location: '/authors?id=eq.50',
      body: '',
    });
  });

  test('numbers beyond 2^53 and odd column names survive', async () => {
    await f.owner.query('create table public.wide (id bigint primary key, "odd ""name" text)');
    const response = await f.fetch('/rest/v1/wide?select=id,%22odd%20%5C%22name%22', {
      method: 'POST',
      headers: { Prefer: 'return=representation', 'Content-Type': 'application/json' },
      body: '{"id": 9007199254740993, "odd \\"name": "v"}',
    });
    expect(await response.text()).toBe('[{"id":9007199254740993,"odd \\"name":"v"}]');
  });

  test.each([
    ['a duplicate key', { code: 'a' }, 409, '23505'],
    ['an unknown column', { code: 'x', nope: 1 }, 400, 'PGRST204'],
    ['a generated column', { id: 1, code: 'x' }, 400, '428C9'],
    ['a value of the wrong type', { code: 'x', qty: 'many' }, 400, '22P02'],
    ['a NUL in a text', { code: 'a\0b' }, 400, '22P05'],
  ])('%s is refused', async (_what, row, status, code) => {
    const result = await service().from('items').insert(row);
    expect({ status: result.status, code: result.error?.code }).toEqual({ status, code });
  });

  test('foreign key, check and not-null violations', async () => {
    const codeOf = async (row: object) => {
      const { status, error } = await service().from('books').insert(row);
      return [status, error?.code];
    };
    expect(await codeOf({ id: 90, title: 't', author_id: 999 })).toEqual([409, '23503']);
    expect(await codeOf({ id: 90, title: 't', pages: -1 })).toEqual([400, '23514']);
    expect(await codeOf({ id: 90, title: null })).toEqual([400, '23502']);
  });

  test.each([
    ['no JSON', '{"a":', 'Empty or invalid json'],
    ['nothing', '', 'Empty or invalid json'],
    ['a scalar', '5', 'Empty or invalid json'],
    ['a list of scalars', '[1, 2]', 'Empty or invalid json'],
    ['rows with different keys', '[{"code":"q"},{"qty":1}]', 'All object keys must match'],
  ])('%s as body is 400 PGRST102', async (_what, body, message) => {
    const response = await f.fetch('/rest/v1/items', {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json' },
    });
    expect({ status: response.status, ...(await jsonObject(response)) }).toMatchObject({
      status: 400,
      code: 'PGRST102',
      message,
    });
  });

  test('a form and an unknown content type', async () => {
    const post = (type: string, body: string) =>
      f.fetch('/rest/v1/items', { method: 'POST', body, headers: { 'Content-Type': type } });
    expect((await post('application/x-www-form-urlencoded', 'code=form&qty=4')).status).toBe(201);
    expect(await itemCount("code = 'form' and qty = 4")).toBe(1);
    expect((await post('application/xml', '<a/>')).status).toBe(400);
  });
});

describe('upsert', () => {
  test('merges and ignores, on the key or a named column', async () => {
    const items = () => service().from('items');
    await items().insert({ code: 'u', qty: 1, note: 'kept' });
    const merged = await items()
      .upsert({ code: 'u', qty: 2 }, { onConflict: 'code' })
      .select('qty,note')
      .single();
    expect(merged.data).toEqual({ qty: 2, note: 'kept' });
    const ignored = await items()
      .upsert({ code: 'u', qty: 3 }, { onConflict: 'code', ignoreDuplicates: true })
      .select('qty');
    expect(ignored.data).toEqual([]);
    await service()
      .from('authors')
      .upsert([
        { id: 1, name: 'Anna' },
        { id: 60, name: 'New' },
      ]);
    const names = await service().from('authors').select('name').in('id', [1, 60]).order('id');
    expect(names.data).toEqual([{ name: 'Anna' }, { name: 'New' }]);
  });

  test("a conflict target without a unique index is PostgreSQL's error", async () => {
    const result = await service().from('items').upsert({ code: 'u', qty: 1 }, { onConflict: 'qty' });
    expect({ status: result.status, code: result.error?.code }).toEqual({ status: 400, code: '42P10' });
  });
});

describe('update and delete', () => {
  test('update by filter, with and without rows', async () => {
    await service()
      .from('items')
      .insert([{ code: 'm1' }, { code: 'm2' }]);
    const silent = await service().from('items').update({ note: 'n' }).in('code', ['m1', 'm2']);
    expect({ status: silent.status, data: silent.data }).toEqual({ status: 204, data: null });
    const shown = await service()
      .from('items')
      .update({ qty: 9 }, { count: 'exact' })
      .eq('note', 'n')
      .select('code,qty')
      .order('code', { ascending: false });
    expect(shown.error).toBeNull();
    expect({ status: shown.status, data: shown.data, count: shown.count }).toEqual({
      status: 200,
      data: [
        { code: 'm2', qty: 9 },
        { code: 'm1', qty: 9 },
      ],
      count: 2,
    });
    const nothing = await service().from('items').update({}).eq('code', 'm1').select();
    expect(nothing.data).toEqual([]);
    const none = await service().from('items').update({ qty: 1 }).eq('code', 'not there').select();
    expect({ status: none.status, data: none.data }).toEqual({ status: 200, data: [] });
  });

  test('embeds of written rows', async () => {
    const { data, error } = await service()
      .from('books')
      .update({ pages: 11 })
      .eq('id', 1)
      .select('id,covers(colour)')
      .single();
    expect(error).toBeNull();
    expect(data).toEqual({ id: 1, covers: { colour: 'red' } });
  });

  test('delete gives what it deleted', async () => {
    await service()
      .from('items')
      .insert([{ code: 'd1' }, { code: 'd2' }]);
    const shown = await service().from('items').delete().eq('code', 'd1').select('code');
    expect({ status: shown.status, data: shown.data }).toEqual({ status: 200, data: [{ code: 'd1' }] });
    const counted = await service().from('items').delete({ count: 'exact' }).eq('code', 'd2');
    expect({ status: counted.status, count: counted.count }).toEqual({ status: 204, count: 1 });
  });

  test('without a filter nothing is touched', async () => {
    const before = await itemCount();
    for (const method of ['DELETE', 'PATCH']) {
      const response = await f.fetch('/rest/v1/items', {
        method,
        key: f.keys.serviceRole,
        body: '{"qty":0}',
        headers: { 'Content-Type': 'application/json' },
      });
      expect({ status: response.status, ...(await jsonObject(response)) }).toMatchObject({
        status: 400,
        code: '21000',
      });
    }
    expect(await itemCount()).toBe(before);
    expect(await itemCount('qty = 0')).toBe(0);
  });
});

describe('what undoes a write', () => {
  test('single() with other than one row', async () => {
    await service()
      .from('items')
      .insert([
        { code: 's1', note: 's' },
        { code: 's2', note: 's' },
      ]);
    const result = await service().from('items').delete().eq('note', 's').select().single();
    expect({ status: result.status, code: result.error?.code }).toEqual({ status: 406, code: 'PGRST116' });
    expect(await itemCount("note = 's'")).toBe(2);
  });

  test('more rows than max-affected', async () => {
    await service()
      .from('items')
      .insert([
        { code: 'x1', note: 'x' },
        { code: 'x2', note: 'x' },
      ]);
    const refused = await service()
      .from('items')
      .delete()
      .eq('note', 'x')
      .setHeader('Prefer', 'handling=strict, max-affected=1');
    expect({ status: refused.status, ...refused.error }).toMatchObject({
      status: 400,
      code: 'PGRST124',
      details: 'The query affects 2 rows',
    });
    expect(await itemCount("note = 'x'")).toBe(2);
    expect(
      (
        await service()
          .from('items')
          .delete()
          .eq('note', 'x')
          .setHeader('Prefer', 'handling=strict, max-affected=2')
      ).status,
    ).toBe(204);
    expect(await itemCount("note = 'x'")).toBe(0);
  });

  test('Prefer: tx=rollback', async () => {
    const result = await service().from('items').insert({ code: 'gone' }).select('code').rollback();
    expect(result.data).toEqual([{ code: 'gone' }]);
    expect(await itemCount("code = 'gone'")).toBe(0);
  });

  test('an error at the commit itself (a deferred constraint)', async () => {
    await f.owner.query(
      'create table public.deferred (id int primary key, parent int references public.deferred (id) deferrable initially deferred)',
    );
    const result = await service().from('deferred').insert({ id: 1, parent: 2 }).select();
    expect({ status: result.status, code: result.error?.code }).toEqual({ status: 409, code: '23503' });
    expect((await service().from('deferred').select()).data).toEqual([]);
  });
});

describe('row security', () => {
  test('a user sees and writes only what is theirs, a guest nothing', async () => {
    const [ann, bob] = [randomUUID(), randomUUID()];
    const as = async (sub: string, path: string, init: RequestInit = {}) =>
      f.fetch(path, {
        ...init,
        headers: {
          Authorization: `Bearer ${await userToken(sub)}`,
          'Content-Type': 'application/json',
          ...init.headers,
        },
      });
    const post = (sub: string, row: object) =>
      as(sub, '/rest/v1/notes', {
        method: 'POST',
        body: JSON.stringify(row),
        headers: { Prefer: 'return=representation' },
      });
    expect((await post(ann, { body: 'mine' })).status).toBe(201);
    const forged = await post(ann, { body: 'theirs', owner: bob });
    expect({ status: forged.status, code: (await jsonObject(forged)).code }).toEqual({
      status: 403,
      code: '42501',
    });
    expect(await (await as(ann, '/rest/v1/notes?select=body')).json()).toEqual([{ body: 'mine' }]);
    expect(await (await as(bob, '/rest/v1/notes?select=body')).json()).toEqual([]);
    expect(await (await f.fetch('/rest/v1/notes?select=body')).json()).toEqual([]);
    expect((await f.client(f.keys.serviceRole).from('notes').select('body')).data).toEqual([
      { body: 'mine' },
    ]);
  });

  test('roles and claims of requests that share connections never mix', async () => {
    const subs = Array.from({ length: 40 }, () => randomUUID());
    const seen = await Promise.all(
      subs.map(async (sub, i) => {
        // every third fails in the middle of its transaction
        const path = i % 3 === 0 ? '/rest/v1/rpc/fail' : '/rest/v1/rpc/whoami';
        const response = await f.fetch(path, {
          method: 'POST',
          body: i % 3 === 0 ? '{"p_state":"P0001"}' : '{}',
          headers: { Authorization: `Bearer ${await userToken(sub)}`, 'Content-Type': 'application/json' },
        });
        const body = await jsonObject(response);
        return i % 3 === 0 ? body.code === 'P0001' : body.sub === sub && body.role === 'authenticated';
      }),
    );
    expect(seen).not.toContain(false);
  });
});
