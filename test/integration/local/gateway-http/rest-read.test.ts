import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayFixture, startGatewayFixture } from './gateway-fixture.ts';
import { restSchemaSql } from './rest-schema.sql.ts';

let f: GatewayFixture;

beforeAll(async () => {
  f = await startGatewayFixture();
  await f.owner.query(restSchemaSql);
});
afterAll(() => f?.stop());

const books = () => f.client(f.keys.anon).from('books');

async function ids(query: PromiseLike<{ data: { id: number }[] | null; error: unknown }>): Promise<number[]> {
  const { data, error } = await query;
  expect(error).toBeNull();
  return (data ?? []).map(({ id }) => id);
}

describe('select lists', () => {
  test('columns, aliases, casts and JSON paths', async () => {
    const { data, error } = await books()
      .select('id,name:title,pages::text,first:data->a->b->0,n:data->>n,data->a->b')
      .eq('id', 1);
    expect(error).toBeNull();
    expect(data).toEqual([{ id: 1, name: 'One, two', pages: '10', first: 10, n: '1', b: [10, 20] }]);
  });

  test('a JSON path into a column that is no JSON works as in PostgREST', async () => {
    const { data } = await books().select('tags->0').eq('id', 1);
    expect(data).toEqual([{ tags: 'x' }]);
  });

  test('csv, with what CSV must quote', async () => {
    const { data } = await f
      .client(f.keys.anon)
      .from('books')
      .select('id,title')
      .lte('id', 2)
      .order('id')
      .csv();
    expect(data).toBe('id,title\n1,"One, two"\n2,"Two ""quoted"""');
  });

  test.each([
    ['nope', '42703', 'column books.nope does not exist'],
    ['id::nosuchtype', '42704', 'type "nosuchtype" does not exist'],
    ['id,count()', 'PGRST123', 'Use of aggregate functions is not allowed'],
  ])('select=%s is refused', async (select, code, message) => {
    const { error, status } = await books().select(select);
    expect({ status, code: error?.code, message: error?.message }).toEqual({ status: 400, code, message });
  });
});

describe('filters', () => {
  test('comparisons', async () => {
    expect(await ids(books().select('id').eq('id', 2))).toEqual([2]);
    expect(await ids(books().select('id').neq('id', 2).order('id'))).toEqual([1, 3, 4]);
    expect(await ids(books().select('id').gt('pages', 20).lt('pages', 40))).toEqual([3]);
    expect(await ids(books().select('id').gte('pages', 20).lte('pages', 30).order('id'))).toEqual([2, 3]);
    expect(await ids(books().select('id').in('title', ['One, two', 'Two "quoted"']).order('id'))).toEqual([
      1, 2,
    ]);
    expect(await ids(books().select('id').in('id', []))).toEqual([]);
    expect(await ids(books().select('id').is('author_id', null))).toEqual([4]);
    expect(await ids(books().select('id').not('author_id', 'is', null).order('id'))).toEqual([1, 2, 3]);
    expect(await ids(books().select('id').filter('author_id', 'isdistinct', 1).order('id'))).toEqual([3, 4]);
  });

  test('patterns', async () => {
    expect(await ids(books().select('id').like('title', 'T%').order('id'))).toEqual([2, 3]);
    expect(await ids(books().select('id').ilike('title', 'FOUR'))).toEqual([4]);
    expect(await ids(books().select('id').filter('title', 'match', '^[OT].*\\W').order('id'))).toEqual([
      1, 2, 3,
    ]);
    expect(await ids(books().select('id').filter('title', 'imatch', '^F'))).toEqual([4]);
    expect(await ids(books().select('id').likeAnyOf('title', ['One%', 'four']).order('id'))).toEqual([1, 4]);
    expect(await ids(books().select('id').ilikeAllOf('title', ['%t%', '%w%']).order('id'))).toEqual([1, 2]);
  });

  test('arrays, ranges, JSON and text search', async () => {
    expect(await ids(books().select('id').contains('tags', ['x']))).toEqual([1]);
    expect(await ids(books().select('id').overlaps('tags', ['x', 'z']).order('id'))).toEqual([1, 4]);
    expect(await ids(books().select('id').containedBy('tags', ['y']).order('id'))).toEqual([2, 3]);
    expect(await ids(books().select('id').contains('data', { n: 2 }))).toEqual([2]);
    expect(await ids(books().select('id').rangeLt('span', '[5,9)'))).toEqual([1]);
    expect(await ids(books().select('id').rangeAdjacent('span', '[9,10)'))).toEqual([2]);
    expect(await ids(books().select('id').eq('data->>n', '1'))).toEqual([1]);
    expect(await ids(books().select('id').gt('data->a->b->0', 10))).toEqual([2]);
    expect(await ids(books().select('id').textSearch('title', 'one & two', { config: 'english' }))).toEqual([
      1,
    ]);
    expect(await ids(books().select('id').textSearch('title', 'quoted', { config: 'english' }))).toEqual([2]);
  });

  test('or, and, not', async () => {
    expect(
      await ids(books().select('id').or('id.eq.1,and(pages.gte.30,title.like.Th*)').order('id')),
    ).toEqual([1, 3]);
    expect(await ids(books().select('id').or('title.eq."One, two",title.eq.four').order('id'))).toEqual([
      1, 4,
    ]);
    expect(await ids(books().select('id').not('id', 'in', '(1,2)').order('id'))).toEqual([3, 4]);
    expect(await ids(books().select('id').or('id.in.(1,2),tags.cs.{z}').order('id'))).toEqual([1, 2, 4]);
    expect(await ids(books().select('id').match({ author_id: 1, pages: 20 }))).toEqual([2]);
  });

  test("a value of the wrong type is PostgreSQL's own error", async () => {
    const { error, status } = await books().select('id').eq('id', 'x');
    expect({ status, code: error?.code }).toEqual({ status: 400, code: '22P02' });
  });

  test('an operator the type lacks is 404 42883, as on hosted', async () => {
    const { error, status } = await books().select('id').like('id', '1%');
    expect({ status, code: error?.code }).toEqual({ status: 404, code: '42883' });
  });
});

describe('order, pages and counts', () => {
  test('order with nulls, limit, offset', async () => {
    expect(
      await ids(
        books().select('id').order('author_id', { nullsFirst: true }).order('id', { ascending: false }),
      ),
    ).toEqual([4, 2, 1, 3]);
    expect(await ids(books().select('id').order('id').limit(2))).toEqual([1, 2]);
    expect(await ids(books().select('id').order('id').range(1, 2))).toEqual([2, 3]);
    expect(
      await ids(books().select('id').order('data->n', { ascending: false, nullsFirst: false }).limit(1)),
    ).toEqual([2]);
  });

  test('exact counts, pages and HEAD', async () => {
    const page = await books().select('id', { count: 'exact' }).order('id').range(0, 1);
    expect({ count: page.count, status: page.status, rows: page.data?.length }).toEqual({
      count: 4,
      status: 206,
      rows: 2,
    });
    const head = await books().select('*', { count: 'exact', head: true }).gt('id', 1);
    expect({ count: head.count, status: head.status, data: head.data }).toEqual({
      count: 3,
      status: 200,
      data: null,
    });
    const none = await books().select('id', { count: 'exact' }).eq('id', 99);
    expect({ count: none.count, data: none.data }).toEqual({ count: 0, data: [] });
    const estimated = await books().select('id', { count: 'estimated' }).limit(1);
    expect(estimated.count).toBe(4);
    const planned = await books()
      .select('id,data->>n', { count: 'planned' })
      .eq('data->>n', '1')
      .order('data->n');
    expect(planned.error).toBeNull();
    expect(planned.count).toBeGreaterThan(0);
  });

  test('Content-Range', async () => {
    const range = async (query: string, headers: Record<string, string> = {}) =>
      (await f.fetch(`/rest/v1/books?${query}`, { headers })).headers.get('content-range');
    expect(await range('offset=1')).toBe('1-3/*');
    expect(await range('id=eq.99')).toBe('*/*');
    expect(await range('limit=1', { Prefer: 'count=exact' })).toBe('0-0/4');
    expect(await range('', { Range: '2-2', Prefer: 'count=exact' })).toBe('2-2/4');
  });

  test('an offset beyond the total is 416 PGRST103', async () => {
    const { error, status } = await books().select('id', { count: 'exact' }).range(10, 11);
    expect({ status, code: error?.code, details: error?.details }).toEqual({
      status: 416,
      code: 'PGRST103',
      details: 'An offset of 10 was requested, but there are only 4 rows.',
    });
  });

  test('one object, or 406 PGRST116; maybeSingle', async () => {
    expect((await books().select('id').eq('id', 1).single()).data).toEqual({ id: 1 });
    const none = await books().select('id').eq('id', 99).single();
    expect({ status: none.status, error: { ...none.error } }).toMatchObject({
      status: 406,
      error: { code: 'PGRST116', details: 'The result contains 0 rows', hint: null },
    });
    expect((await books().select('id').single()).error?.details).toBe('The result contains 4 rows');
    expect((await books().select('id').eq('id', 99).maybeSingle()).data).toBeNull();
  });

  test('no more than 1000 rows, however many are asked for', async () => {
    const { data } = await f.client(f.keys.anon).rpc('numbers', { n: 3 });
    expect(data).toEqual([1, 2, 3]);
    await f.owner.query(
      `create table if not exists public.many as select g as id from generate_series(1, 1500) g`,
    );
    const all = await f.client(f.keys.anon).from('many').select('id', { count: 'exact' }).limit(5000);
    expect({ rows: all.data?.length, count: all.count, status: all.status }).toEqual({
      rows: 1000,
      count: 1500,
      status: 206,
    });
  });
});

describe('embeds', () => {
  test('to one, to many, one to one, nested, with their own clauses', async () => {
    const { data, error } = await books()
      .select('id,author:authors!books_author_id_fkey(name),covers(colour)')
      .order('id')
      .limit(2);
    expect(error).toBeNull();
    expect(data).toEqual([
      { id: 1, author: { name: 'Ann' }, covers: { colour: 'red' } },
      { id: 2, author: { name: 'Ann' }, covers: null },
    ]);
    const authors = await f
      .client(f.keys.anon)
      .from('authors')
      .select('name,books!books_author_id_fkey(id,covers(colour))')
      .order('id')
      .gt('books.pages', 10)
      .order('id', { referencedTable: 'books', ascending: false })
      .limit(1, { referencedTable: 'books' });
    expect(authors.error).toBeNull();
    expect(authors.data).toEqual([
      { name: 'Ann', books: [{ id: 2, covers: null }] },
      { name: 'Bob', books: [{ id: 3, covers: null }] },
      { name: 'Cid', books: [] },
    ]);
  });

  test('by the column of the key; inner filters the rows above; spread', async () => {
    expect((await books().select('id,author_id(name)').eq('id', 3)).data).toEqual([
      { id: 3, author_id: { name: 'Bob' } },
    ]);
    const inner = await books()
      .select('id,covers!inner(colour)', { count: 'exact' })
      .eq('covers.colour', 'red');
    expect({ data: inner.data, count: inner.count }).toEqual({
      data: [{ id: 1, covers: { colour: 'red' } }],
      count: 1,
    });
    expect((await books().select('id,...covers(colour)').eq('id', 1)).data).toEqual([
      { id: 1, colour: 'red' },
    ]);
  });

  test('unknown and ambiguous relationships and stray clauses are refused with their codes', async () => {
    const unknown = await books().select('id,nothing(x)');
    expect({ status: unknown.status, ...unknown.error }).toMatchObject({
      status: 400,
      code: 'PGRST200',
      message: "Could not find a relationship between 'books' and 'nothing' in the schema cache",
    });
    const ambiguous = await books().select('id,authors(name)');
    expect({ status: ambiguous.status, code: ambiguous.error?.code }).toEqual({
      status: 300,
      code: 'PGRST201',
    });
    expect(ambiguous.error?.hint).toContain('authors!books_editor_fkey');
    const stray = await books().select('id').eq('covers.colour', 'red');
    expect({ status: stray.status, code: stray.error?.code }).toEqual({ status: 400, code: 'PGRST108' });
  });
});

describe('what is not there', () => {
  test('a table: 404 PGRST205 with the nearest name', async () => {
    const { error, status } = await f.client(f.keys.anon).from('book').select();
    expect({ status, ...error }).toMatchObject({
      status: 404,
      code: 'PGRST205',
      message: "Could not find the table 'public.book' in the schema cache",
      hint: "Perhaps you meant the table 'public.books'",
    });
  });

  test('a table made a moment ago is found, one dropped is gone', async () => {
    for (let i = 0; i < 5; i++) {
      await f.owner.query(`create table public.fresh_${i} (id int)`);
      const made = await f.client(f.keys.anon).from(`fresh_${i}`).select();
      expect({ status: made.status, error: made.error }).toEqual({ status: 200, error: null });
    }
    await f.owner.query('drop table public.fresh_0');
    const gone = await f.client(f.keys.anon).from('fresh_0').select();
    expect(gone.status).toBe(404);
  });

  test('a schema that is not exposed is 406 PGRST106, a system table 404', async () => {
    const auth = await f.client(f.keys.serviceRole).schema('auth').from('users').select();
    expect({ status: auth.status, code: auth.error?.code }).toEqual({ status: 406, code: 'PGRST106' });
    const system = await f.client(f.keys.serviceRole).from('pg_authid').select();
    expect(system.status).toBe(404);
  });
});

describe('privileges', () => {
  test('a missing privilege is 401 for a guest and 403 for a signed-in role', async () => {
    const guest = await f.fetch('/rest/v1/secrets');
    expect({
      status: guest.status,
      challenge: guest.headers.get('www-authenticate'),
      body: await guest.json(),
    }).toMatchObject({
      status: 401,
      challenge: 'Bearer',
      body: { code: '42501', message: 'permission denied for table secrets' },
    });
    const service = await f.client(f.keys.serviceRole).from('secrets').select();
    expect({ status: service.status, code: service.error?.code }).toEqual({ status: 403, code: '42501' });
  });
});
