import type { Condition, FieldRef, Filter, OrderTerm } from './query-tree.ts';
import { RestError } from './rest-error.ts';
import { nestingLimit, Scanner } from './scanner.ts';
import { parseJsonPath } from './select-parser.ts';

const quantifiable = ['eq', 'gte', 'gt', 'lte', 'lt', 'like', 'ilike', 'imatch', 'match'];
const plain = ['neq', 'cs', 'cd', 'ov', 'sl', 'sr', 'nxr', 'nxl', 'adj', 'isdistinct', 'in', 'is'];
const textSearch = ['plfts', 'phfts', 'wfts', 'fts'];
const operatorPattern = new RegExp(
  `^(?:not\\.)?(?:(?:${quantifiable.join('|')})(?:\\((?:any|all)\\))?|${plain.join('|')}|(?:${textSearch.join('|')})(?:\\([^)]*\\))?)\\.`,
);

/** Whether a value begins like a filter: what tells a filter from an argument in an RPC by GET. */
export function looksLikeFilter(value: string): boolean {
  return operatorPattern.test(value);
}

/**
 * The value of `column=op.value`. At this level the value is everything to the end, quotes included; only `in` reads a list.
 * @throws RestError PGRST100
 */
export function parseFilter(field: FieldRef, text: string): Filter {
  const scanner = new Scanner(text, 'filter');
  const operator = parseOperator(scanner);
  const value = operator.op === 'in' ? parseList(scanner) : scanner.rest();
  if (!scanner.atEnd) throw scanner.failure('end of input');
  return checked({ field, ...operator, value }, scanner);
}

/**
 * `or=(a.eq.1,not.and(b.gt.2,c.is.null))`; `kind` and `negated` come from the key.
 * @throws RestError PGRST100
 */
export function parseLogic(kind: 'and' | 'or', negated: boolean, text: string): Condition {
  const scanner = new Scanner(text, 'logic tree');
  const children = parseChildren(scanner, 0);
  if (!scanner.atEnd) throw scanner.failure('end of input');
  return { kind, negated, children };
}

function parseChildren(scanner: Scanner, depth: number): Condition[] {
  if (depth > nestingLimit) throw scanner.failure(`at most ${nestingLimit} levels of logic`);
  scanner.expect('(');
  const children: Condition[] = [];
  do {
    const head = scanner.match(/(?:not\.)?(?:and|or)(?=\()/y);
    children.push(
      head === undefined
        ? { kind: 'filter', filter: parseLogicFilter(scanner) }
        : {
            kind: head.endsWith('and') ? 'and' : 'or',
            negated: head.startsWith('not.'),
            children: parseChildren(scanner, depth + 1),
          },
    );
  } while (scanner.take(','));
  scanner.expect(')');
  return children;
}

function parseLogicFilter(scanner: Scanner): Filter {
  const field: FieldRef = { name: scanner.name(), path: parseJsonPath(scanner) };
  scanner.expect('.');
  const operator = parseOperator(scanner);
  const value =
    operator.op === 'in'
      ? parseList(scanner)
      : (scanner.match(/\{[^{}]*\}/y) ?? scanner.quoted() ?? scanner.match(/[^,)]+/y) ?? '');
  return checked({ field, ...operator, value }, scanner);
}

type Operator = Pick<Filter, 'negated' | 'op' | 'quantifier' | 'language'>;

function parseOperator(scanner: Scanner): Operator {
  const negated = scanner.take('not.');
  const op = scanner.match(/[a-z]+/y);
  if (op === undefined) throw scanner.failure('operator (eq, gt, ...)');
  let quantifier: Operator['quantifier'];
  let language: string | undefined;
  if (quantifiable.includes(op)) {
    if (scanner.take('(any)')) quantifier = 'any';
    else if (scanner.take('(all)')) quantifier = 'all';
  } else if (textSearch.includes(op)) {
    language = scanner.match(/\(\w+\)/y)?.slice(1, -1);
  } else if (!plain.includes(op)) {
    throw scanner.failure('operator (eq, gt, ...)');
  }
  scanner.expect('.');
  return { negated, op, quantifier, language };
}

function parseList(scanner: Scanner): string[] {
  scanner.expect('(');
  const values: string[] = [];
  if (scanner.take(')')) return values;
  do values.push(scanner.quoted() ?? scanner.match(/[^,)"][^,)]*/y) ?? '');
  while (scanner.take(','));
  scanner.expect(')');
  return values;
}

const isValues = ['null', 'not_null', 'true', 'false', 'unknown'];

function checked(filter: Filter, scanner: Scanner): Filter {
  if (
    filter.op === 'is' &&
    !(typeof filter.value === 'string' && isValues.includes(filter.value.toLowerCase()))
  ) {
    throw scanner.failure('null, not_null, true, false or unknown');
  }
  return filter;
}

/**
 * `order=a.desc.nullslast,data->>b`.
 * @throws RestError PGRST100, PGRST127 for the order by a related table, which is not offered here
 */
export function parseOrder(text: string): OrderTerm[] {
  const scanner = new Scanner(text, 'order');
  const terms: OrderTerm[] = [];
  do {
    const name = scanner.name();
    if (scanner.sees('(')) {
      throw new RestError(400, 'PGRST127', 'Feature not implemented', {
        details: 'The embedded gateway does not order by a column of a related table',
      });
    }
    const path = parseJsonPath(scanner);
    const direction = scanner.take('.asc') ? 'asc' : scanner.take('.desc') ? 'desc' : undefined;
    const nulls = scanner.take('.nullsfirst')
      ? 'nullsfirst'
      : scanner.take('.nullslast')
        ? 'nullslast'
        : undefined;
    terms.push({ field: { name, path }, direction, nulls });
  } while (scanner.take(','));
  if (!scanner.atEnd) throw scanner.failure('"," or end of input');
  return terms;
}
