import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePairs, parseQuery } from '../../../../src/local/gateway/rest/query-string.ts';
import { RestError } from '../../../../src/local/gateway/rest/rest-error.ts';
import { parseSelect } from '../../../../src/local/gateway/rest/select-parser.ts';

function whereOf(query: string) {
  return parseQuery(query, false).nodes.get('')?.where;
}

function filterOf(query: string) {
  const [condition] = whereOf(query) ?? [];
  if (condition?.kind !== 'filter') throw new Error('no filter');
  return condition.filter;
}

function refusalOf(run: () => unknown): RestError {
  try {
    run();
  } catch (error) {
    if (error instanceof RestError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('filters', () => {
  test('everything after the operator is the value, dots, commas and quotes included', () => {
    expect(filterOf('a=eq.x.y,"z"').value).toBe('x.y,"z"');
    expect(filterOf('a=not.gte.5')).toMatchObject({ negated: true, op: 'gte', value: '5' });
    expect(filterOf('a=eq.').value).toBe('');
  });

  test('percent-encoding and plus', () => {
    expect(filterOf('a%20b=eq.1+2%2B3')).toMatchObject({ field: { name: 'a b' }, value: '1 2+3' });
  });

  test('in reads quoted and bare members', () => {
    expect(filterOf('a=in.(1,"b,c","d\\"e",)').value).toEqual(['1', 'b,c', 'd"e', '']);
    expect(filterOf('a=in.()').value).toEqual([]);
  });

  test('quantifiers, text search and JSON paths', () => {
    expect(filterOf('a=like(any).{x,y}')).toMatchObject({ op: 'like', quantifier: 'any', value: '{x,y}' });
    expect(filterOf('a=wfts(english).cats').language).toBe('english');
    expect(filterOf('d->a->0->>b=eq.1').field.path).toEqual([
      { arrow: '->', key: 'a', isIndex: false },
      { arrow: '->', key: '0', isIndex: true },
      { arrow: '->>', key: 'b', isIndex: false },
    ]);
  });

  test('logic trees nest, negate and quote', () => {
    expect(whereOf('or=(a.eq.1,not.and(b.in.(1,2),c.eq."x,)y"))')).toMatchObject([
      {
        kind: 'or',
        negated: false,
        children: [
          { filter: { op: 'eq', value: '1' } },
          {
            kind: 'and',
            negated: true,
            children: [{ filter: { value: ['1', '2'] } }, { filter: { value: 'x,)y' } }],
          },
        ],
      },
    ]);
    expect(whereOf('not.or=(a.is.null)')).toMatchObject([{ kind: 'or', negated: true }]);
    expect(whereOf('or=(a.cs.{1,2},b.eq.3)')).toMatchObject([
      { children: [{ filter: { value: '{1,2}' } }, { filter: { value: '3' } }] },
    ]);
  });

  test.each([
    ['a=5', /failed to parse filter \(5\)/],
    ['a=foo.5', /failed to parse filter/],
    ['a=eq', /failed to parse filter/],
    ['a=is.maybe', /failed to parse filter/],
    ['a=in.1', /failed to parse filter/],
    ['a=in.(1', /failed to parse filter/],
    ['or=(a.eq.1', /failed to parse logic tree/],
    ['or=a.eq.1', /failed to parse logic tree/],
    [`or=${'('.repeat(5000)}`, /failed to parse logic tree/],
    [`or=${'(and'.repeat(200)}`, /failed to parse logic tree/],
    ['a=eq.%00', /NUL/],
    ['a=eq.%ff', /percent-encoded/],
    ['select=a,', /failed to parse select/],
    ['select=a(b', /failed to parse select/],
    ['select=a->', /failed to parse select/],
    ['select=a::int)); drop table x;--', /failed to parse select/],
    [`select=${'a('.repeat(500)}`, /at most|failed to parse select/],
    ['order=a.sideways', /failed to parse order/],
    ['order=a;drop', /failed to parse order/],
  ])('refuses %s', (query, message) => {
    const refusal = refusalOf(() => parseQuery(query, false));
    expect(refusal).toMatchObject({ status: 400, code: 'PGRST100' });
    expect(refusal.message).toMatch(message);
  });

  test('aggregates and negative pages are refused with their own codes', () => {
    expect(refusalOf(() => parseQuery('select=count()', false)).code).toBe('PGRST123');
    expect(refusalOf(() => parseQuery('select=a.sum()', false)).code).toBe('PGRST123');
    expect(refusalOf(() => parseQuery('limit=-1', false))).toMatchObject({ status: 416, code: 'PGRST103' });
  });

  test('more pairs than any client sends are refused', () => {
    expect(refusalOf(() => decodePairs('a=eq.1&'.repeat(501))).code).toBe('PGRST100');
  });
});

describe('select', () => {
  test('aliases, casts, JSON paths, embeds and spreads', () => {
    expect(
      parseSelect('id,t:title::text,x:d->a->>b,author:users!fk!inner(name,...c(*)),...s(a),"odd, name"'),
    ).toMatchObject([
      { kind: 'field', field: { name: 'id' } },
      { field: { name: 'title' }, alias: 't', cast: 'text' },
      { field: { name: 'd', path: [{ key: 'a' }, { key: 'b' }] }, alias: 'x' },
      {
        kind: 'embed',
        target: 'users',
        alias: 'author',
        hint: 'fk',
        inner: true,
        select: [{ kind: 'field' }, { kind: 'embed', spread: true, target: 'c' }],
      },
      { kind: 'embed', spread: true, target: 's' },
      { kind: 'field', field: { name: 'odd, name' } },
    ]);
  });

  test('clauses of embedded resources have a path', () => {
    const { nodes } = parseQuery(
      'select=*,a(b(*))&a.b.x=eq.1&a.order=y.desc.nullslast&a.limit=3&a.or=(p.eq.1)',
      false,
    );
    expect(nodes.get('a.b')?.where).toHaveLength(1);
    expect(nodes.get('a')).toMatchObject({
      limit: 3,
      order: [{ field: { name: 'y' }, direction: 'desc', nulls: 'nullslast' }],
      where: [{ kind: 'or' }],
    });
  });
});

describe('RPC by GET', () => {
  test('what does not look like a filter is an argument', () => {
    const query = parseQuery('a=1&b=eq.5&limit=2&c=not.in.(1)&d=hello.world', true);
    expect(query.args).toEqual([
      ['a', '1'],
      ['d', 'hello.world'],
    ]);
    expect(query.nodes.get('')?.where).toHaveLength(2);
  });
});

test('no query string makes the parser throw anything but a RestError', () => {
  const piece = fc.constantFrom(
    'select',
    'order',
    'or',
    'and',
    'not',
    'a',
    '=',
    '&',
    '.',
    ',',
    '(',
    ')',
    '"',
    '\\',
    '->',
    '->>',
    '::',
    '!',
    '...',
    'eq',
    'in',
    'is',
    'null',
    '%',
    '%00',
    '%22',
    '*',
    '{',
    '}',
    ':',
    '+',
    'limit',
    '-1',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.boolean(), (pieces, isGetCall) => {
      try {
        parseQuery(pieces.join(''), isGetCall);
      } catch (error) {
        if (!(error instanceof RestError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});
