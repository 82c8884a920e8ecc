import { looksLikeFilter, parseFilter, parseLogic, parseOrder } from './filter-parser.ts';
import type { FieldRef, NodeClauses, QueryTree } from './query-tree.ts';
import { badQuery, RestError } from './rest-error.ts';
import { Scanner } from './scanner.ts';
import { parseJsonPath, parseSelect } from './select-parser.ts';

/** More pairs than any client sends; URLs are bounded by the header limit anyway. */
const pairsLimit = 500;

/**
 * Splits a raw query string into decoded pairs, in order.
 * @throws RestError PGRST100 for bad percent-encoding, bad UTF-8 and NUL, which no PostgreSQL text can hold
 */
export function decodePairs(raw: string): [string, string][] {
  const parts = raw.split('&').filter((part) => part !== '');
  if (parts.length > pairsLimit) throw badQuery(`more than ${pairsLimit} query parameters`);
  return parts.map((part) => {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    return [decode(key), equals < 0 ? '' : decode(part.slice(equals + 1))];
  });
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badQuery('the query string is not valid percent-encoded UTF-8');
  }
  if (decoded.includes('\0')) throw badQuery('the query string contains a NUL character');
  return decoded;
}

/**
 * Reads the whole query string.
 * @param isGetCall an RPC by GET or HEAD: pairs that are no filter are its arguments
 * @throws RestError PGRST100, PGRST103
 */
export function parseQuery(raw: string, isGetCall: boolean): QueryTree {
  const root = emptyClauses();
  const nodes = new Map([['', root]]);
  const args: [string, string][] = [];
  let select: QueryTree['select'] = [{ kind: 'all' }];
  let columns: string[] | undefined;
  let onConflict: string[] | undefined;
  for (const [key, value] of decodePairs(raw)) {
    if (key === 'apikey') continue; // the API key may travel in the URL
    if (key === 'select') select = parseSelect(value);
    else if (key === 'columns') columns = parseNames(value, 'columns parameter');
    else if (key === 'on_conflict') onConflict = parseNames(value, 'on_conflict parameter');
    else if (isGetCall && isArgument(key, value)) args.push([key, value]);
    else addClause(nodes, key, value);
  }
  return { select, root, nodes, columns, onConflict, args };
}

export function emptyClauses(): NodeClauses {
  return { where: [], order: [], limit: undefined, offset: 0 };
}

const clauseKeys = ['order', 'limit', 'offset', 'and', 'or'];

function isArgument(key: string, value: string): boolean {
  const last = key.slice(key.lastIndexOf('.') + 1);
  return !clauseKeys.includes(last) && !looksLikeFilter(value);
}

function parseNames(text: string, what: string): string[] {
  const scanner = new Scanner(text, what);
  const names: string[] = [];
  if (scanner.atEnd) return names;
  do names.push(scanner.name());
  while (scanner.take(','));
  if (!scanner.atEnd) throw scanner.failure('"," or end of input');
  return names;
}

function addClause(nodes: Map<string, NodeClauses>, key: string, value: string): void {
  const { path, negated, field } = parseKey(key);
  const nodePath = path.join('.');
  const node = nodes.get(nodePath) ?? emptyClauses();
  nodes.set(nodePath, node);
  const bare = field.path.length === 0 ? field.name : '';
  if (bare === 'order') node.order = value === '' ? [] : parseOrder(value);
  else if (bare === 'limit') node.limit = parseCount(value, 'Limit') ?? node.limit;
  else if (bare === 'offset') node.offset = parseCount(value, 'Offset') ?? node.offset;
  else if (bare === 'and' || bare === 'or') node.where.push(parseLogic(bare, negated, value));
  else node.where.push({ kind: 'filter', filter: parseFilter(field, value) });
}

/** `author.books.title`, `author.not.or`, `data->>key`: the path of the resource, then what is meant there. */
function parseKey(key: string): { path: string[]; negated: boolean; field: FieldRef } {
  const scanner = new Scanner(key, 'filter');
  const names = [scanner.name()];
  while (scanner.take('.')) names.push(scanner.name());
  const path = parseJsonPath(scanner);
  if (!scanner.atEnd) throw scanner.failure('end of input');
  const name = names.pop() ?? '';
  const isLogic = (name === 'and' || name === 'or') && path.length === 0;
  const negated = isLogic && names.at(-1) === 'not';
  if (negated) names.pop();
  return { path: names, negated, field: { name, path } };
}

function parseCount(value: string, what: string): number | undefined {
  // what is no number is ignored, as PostgREST does; 15 digits are exact in a double
  if (!/^-?\d{1,15}$/.test(value)) return undefined;
  const count = Number(value);
  if (count < 0) {
    throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
      details: `${what} should be greater than or equal to zero.`,
    });
  }
  return count;
}
