import type { Tuple } from './pgoutput-decoder.ts';

const operators = [
  'eq',
  'neq',
  'lt',
  'lte',
  'gt',
  'gte',
  'in',
  'like',
  'ilike',
  'is',
  'match',
  'imatch',
  'isdistinct',
] as const;
export type FilterOperator = (typeof operators)[number];

/** A filter as the client wrote it, before the column's type is known. */
export interface ParsedFilter {
  readonly column: string;
  readonly operator: FilterOperator;
  readonly operand: string;
  readonly negate: boolean;
}

/** A filter checked against its column: the operand is in the canonical text of the type. */
export interface ColumnFilter extends ParsedFilter {
  /** Elements of an `in` list. */
  readonly members: readonly string[] | null;
  /** The type as PostgreSQL writes it, e.g. `timestamp with time zone`. */
  readonly type: string;
}

/** Why a filter text cannot be read, in hosted's words. */
export class FilterSyntaxError extends Error {
  override readonly name = 'FilterSyntaxError';
}

/**
 * `col=op.value`, several joined by commas as AND; `not.` negates; quotes and parentheses protect commas.
 * As hosted's `parse_subscription_params`. @throws FilterSyntaxError
 */
export function parseFilters(text: string): ParsedFilter[] {
  const trimmed = text.trim();
  return trimmed === '' ? [] : splitTopLevel(trimmed).map(parseSegment);
}

function splitTopLevel(text: string): string[] {
  const segments: string[] = [];
  let [depth, quoted, previous, current] = [0, false, '', ''];
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (quoted && char === '\\' && i + 1 < text.length) {
      i++;
      current += char + text.charAt(i);
      previous = text.charAt(i);
      continue;
    }
    if (char === '"' && (quoted || ['.', '(', ','].includes(previous))) quoted = !quoted;
    else if (!quoted && char === '(') depth++;
    else if (!quoted && char === ')') depth = Math.max(0, depth - 1);
    else if (!quoted && char === ',' && depth === 0) {
      segments.push(current);
      [current, previous] = ['', ''];
      continue;
    }
    current += char;
    previous = char;
  }
  return [...segments, current];
}

function parseSegment(segment: string): ParsedFilter {
  const text = segment.trim();
  if (text === '') {
    throw new FilterSyntaxError('filter must not contain empty segments (check for extra commas)');
  }
  const [column, rest] = splitOnce(text, '=');
  if (rest === null) throw new FilterSyntaxError(JSON.stringify([column]));
  const negate = rest.startsWith('not.');
  const [name, value] = splitOnce(negate ? rest.slice('not.'.length) : rest, '.');
  if (value === null) throw new FilterSyntaxError(JSON.stringify([name]));
  const operator = operators.find((known) => known === name);
  if (!operator) throw new FilterSyntaxError(`[${JSON.stringify(name)}, ${JSON.stringify(value)}]`);
  return { column, operator, operand: operandOf(operator, value), negate };
}

function splitOnce(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + separator.length)];
}

function operandOf(operator: FilterOperator, value: string): string {
  if (operator !== 'in') return unquote(value);
  if (!value.startsWith('(') || !value.endsWith(')') || value.length < 2) {
    throw new FilterSyntaxError('`in` filter value must be wrapped by parentheses');
  }
  return `{${value.slice(1, -1)}}`; // the text form of an array
}

function unquote(value: string): string {
  const match = /^"((?:[^"\\]|\\[\s\S])*)"$/.exec(value);
  return match ? (match[1] ?? '').replace(/\\([\s\S])/g, '$1') : value;
}

/** Types whose text form is equal exactly when the values are. */
const textEqualTypes = new Set([
  'text',
  'character varying',
  'uuid',
  'boolean',
  'smallint',
  'integer',
  'bigint',
]);
const integerTypes = new Set(['smallint', 'integer', 'bigint']);

/**
 * Whether a row passes one filter, where that can be said without PostgreSQL; undefined where only its own
 * operators know (other types, patterns, collations). A column the row does not carry fails.
 */
export function matchesFast(filter: ColumnFilter, row: Tuple): boolean | undefined {
  const value = row.get(filter.column);
  if (value === undefined) return false;
  const { operator, operand, negate, type } = filter;
  if (operator === 'is') return isKeyword(value, operand) !== negate;
  if (operator === 'isdistinct') {
    return textEqualTypes.has(type) ? (value !== operand) !== negate : undefined;
  }
  if (value === null) return false; // comparing with null is null, and so is its negation
  if (!textEqualTypes.has(type)) return undefined;
  switch (operator) {
    case 'eq':
      return (value === operand) !== negate;
    case 'neq':
      return (value !== operand) !== negate;
    case 'in':
      // members leaves nulls out; with one in the list, "not in" is never true: PostgreSQL decides
      return negate ? undefined : (filter.members ?? []).includes(value);
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      return integerTypes.has(type)
        ? ordered(operator, BigInt(value), BigInt(operand)) !== negate
        : undefined;
    default:
      return undefined;
  }
}

function isKeyword(value: string | null, keyword: string): boolean {
  if (keyword === 'null' || keyword === 'unknown') return value === null;
  return value === (keyword === 'true' ? 't' : 'f');
}

function ordered(operator: 'lt' | 'lte' | 'gt' | 'gte', a: bigint, b: bigint): boolean {
  if (operator === 'lt') return a < b;
  if (operator === 'lte') return a <= b;
  return operator === 'gt' ? a > b : a >= b;
}
