import { describe, expect, test } from 'vitest';
import {
  type ColumnFilter,
  type FilterOperator,
  FilterSyntaxError,
  matchesFast,
  parseFilters,
} from '../../../../src/local/gateway/realtime/changes/filters.ts';

describe('parseFilters', () => {
  test.each([
    ['id=eq.5', [['id', 'eq', '5', false]]],
    [
      'id=gt.0,id=lt.100',
      [
        ['id', 'gt', '0', false],
        ['id', 'lt', '100', false],
      ],
    ],
    ['subject=in.(hidee,ho)', [['subject', 'in', '{hidee,ho}', false]]],
    ['subject=not.like.hey%', [['subject', 'like', 'hey%', true]]],
    [
      'a=eq."x,y",b=eq.z',
      [
        ['a', 'eq', 'x,y', false],
        ['b', 'eq', 'z', false],
      ],
    ],
    ['a=eq."say \\"hi\\""', [['a', 'eq', 'say "hi"', false]]],
    ['a=eq.b=c.d', [['a', 'eq', 'b=c.d', false]]],
    ['  ', []],
  ])('%s', (text, expected) => {
    expect(parseFilters(text).map((f) => [f.column, f.operator, f.operand, f.negate])).toEqual(expected);
  });

  test.each([
    ['subject=foo.hey', '["foo", "hey"]'],
    ['undefined', '["undefined"]'],
    ['id=in.1', '`in` filter value must be wrapped by parentheses'],
    ['id=eq.1,', 'filter must not contain empty segments (check for extra commas)'],
  ])('%s is refused as hosted words it', (text, message) => {
    expect(() => parseFilters(text)).toThrow(new FilterSyntaxError(message));
  });
});

describe('matchesFast', () => {
  const filter = (type: string, operator: FilterOperator, operand: string, negate = false): ColumnFilter => ({
    column: 'c',
    type,
    operator,
    operand,
    negate,
    members: operator === 'in' ? operand.split(',') : null,
  });
  const row = (value: string | null) => new Map([['c', value]]);

  test.each<[string, ColumnFilter, string | null, boolean | undefined]>([
    ['equal text', filter('text', 'eq', 'a'), 'a', true],
    ['null equals nothing', filter('text', 'eq', 'a'), null, false],
    ['null is not unequal either', filter('text', 'neq', 'a'), null, false],
    ['not.eq of null stays null', filter('text', 'eq', 'a', true), null, false],
    ['integers compare as numbers', filter('bigint', 'gt', '9'), '10', true],
    ['beyond 2^53', filter('bigint', 'gt', '9007199254740992'), '9007199254740993', true],
    ['negative', filter('integer', 'lte', '-3'), '-3', true],
    ['in', filter('uuid', 'in', 'x,y'), 'y', true],
    ['is null', filter('text', 'is', 'null'), null, true],
    ['is not null', filter('text', 'is', 'null', true), 'a', true],
    ['is true', filter('boolean', 'is', 'true'), 't', true],
    ['null is not true', filter('boolean', 'is', 'true'), null, false],
    ['distinct from null', filter('text', 'isdistinct', 'a'), null, true],
    ['order of text is for PostgreSQL', filter('text', 'lt', 'b'), 'a', undefined],
    ['numeric has many texts for one value', filter('numeric', 'eq', '1.0'), '1', undefined],
    ['patterns are for PostgreSQL', filter('text', 'like', 'a%'), 'abc', undefined],
    ['not in may meet a null in the list', filter('text', 'in', 'a', true), 'b', undefined],
  ])('%s', (_what, columnFilter, value, expected) => {
    expect(matchesFast(columnFilter, row(value))).toBe(expected);
  });

  test('a column the row does not carry fails closed', () => {
    expect(matchesFast(filter('text', 'neq', 'a'), new Map())).toBe(false);
  });
});
