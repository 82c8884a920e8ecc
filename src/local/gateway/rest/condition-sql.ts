import type { Column } from './catalogue.ts';
import type { Condition, FieldRef, Filter, OrderTerm } from './query-tree.ts';
import { undefinedColumn } from './rest-error.ts';
import { arrayLiteral, type Params, quoteName } from './sql-text.ts';

/** Something with columns that conditions, orders and select lists are written against. */
export interface Source {
  /** For error messages. */
  readonly name: string;
  /** How its columns are qualified in SQL. */
  readonly qualifier: string;
  /** undefined where they are not known beforehand (a function that returns a bare record). */
  readonly columns: ReadonlyMap<string, Column> | undefined;
}

/** SQL of a column or a JSON path in it. @throws RestError 42703 */
export function fieldSql(field: FieldRef, source: Source, params: Params): string {
  const column = source.columns?.get(field.name);
  if (source.columns && !column) throw undefinedColumn(source.name, field.name);
  const base = `${source.qualifier}.${quoteName(field.name)}`;
  if (field.path.length === 0) return base;
  const steps = field.path.map(
    ({ arrow, key, isIndex }) => `${arrow}${params.add(key)}::${isIndex ? 'int4' : 'text'}`,
  );
  return `(${column?.isJson ? base : `to_jsonb(${base})`}${steps.join('')})`;
}

const comparisons: Readonly<Record<string, string>> = {
  eq: '=',
  neq: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  like: 'LIKE',
  ilike: 'ILIKE',
  match: '~',
  imatch: '~*',
  cs: '@>',
  cd: '<@',
  ov: '&&',
  sl: '<<',
  sr: '>>',
  nxr: '&<',
  nxl: '&>',
  adj: '-|-',
  isdistinct: 'IS DISTINCT FROM',
};

const textSearchFunctions: Readonly<Record<string, string>> = {
  fts: 'to_tsquery',
  plfts: 'plainto_tsquery',
  phfts: 'phraseto_tsquery',
  wfts: 'websearch_to_tsquery',
};

/** SQL of one condition with everything below it; always in parentheses or atomic. */
export function conditionSql(condition: Condition, source: Source, params: Params): string {
  if (condition.kind === 'filter') return filterSql(condition.filter, source, params);
  const joined = condition.children
    .map((child) => conditionSql(child, source, params))
    .join(condition.kind === 'and' ? ' AND ' : ' OR ');
  return `${condition.negated ? 'NOT ' : ''}(${joined})`;
}

function filterSql(filter: Filter, source: Source, params: Params): string {
  const field = fieldSql(filter.field, source, params);
  const test = testSql(filter, field, source, params);
  return filter.negated ? `NOT (${test})` : `(${test})`;
}

function testSql(filter: Filter, field: string, source: Source, params: Params): string {
  const { op, value } = filter;
  if (typeof value !== 'string') return `${field} = ANY (${params.add(arrayLiteral(value))})`;
  if (op === 'is') return `${field} IS ${value.toUpperCase().replace('_', ' ')}`;
  const search = textSearchFunctions[op];
  if (search !== undefined) {
    const config = filter.language === undefined ? '' : `${params.add(filter.language)}::regconfig, `;
    const isVector = source.columns?.get(filter.field.name)?.isTsVector || source.columns === undefined;
    const vector = isVector || filter.field.path.length > 0 ? field : `to_tsvector(${config}${field})`;
    return `${vector} @@ ${search}(${config}${params.add(value)}::text)`;
  }
  const isPattern = op === 'like' || op === 'ilike';
  const text = isPattern ? value.replaceAll('*', '%') : value;
  const parameter = params.add(text);
  const right =
    filter.quantifier === undefined ? parameter : `${filter.quantifier.toUpperCase()} (${parameter})`;
  return `${field} ${comparisons[op]} ${right}`;
}

/** ` ORDER BY …`, or nothing. */
export function orderSql(terms: readonly OrderTerm[], source: Source, params: Params): string {
  if (terms.length === 0) return '';
  const parts = terms.map(({ field, direction, nulls }) => {
    const way = direction === undefined ? '' : ` ${direction.toUpperCase()}`;
    const ends = nulls === undefined ? '' : nulls === 'nullsfirst' ? ' NULLS FIRST' : ' NULLS LAST';
    return `${fieldSql(field, source, params)}${way}${ends}`;
  });
  return ` ORDER BY ${parts.join(', ')}`;
}
