import type { EmbedItem, FieldRef, JsonStep, SelectItem } from './query-tree.ts';
import { RestError } from './rest-error.ts';
import { nestingLimit, Scanner } from './scanner.ts';

/**
 * `select=id,alias:col::text,data->a->>b,author!fk!inner(name),...spread(x)`.
 * @throws RestError PGRST100, PGRST123 for aggregates (disabled, as on hosted)
 */
export function parseSelect(text: string): SelectItem[] {
  if (text.trim() === '') return [{ kind: 'all' }];
  const scanner = new Scanner(text, 'select parameter');
  const items = parseItems(scanner, 0);
  if (!scanner.atEnd) throw scanner.failure('"," or end of input');
  return items;
}

function parseItems(scanner: Scanner, depth: number): SelectItem[] {
  if (depth > nestingLimit) throw scanner.failure(`at most ${nestingLimit} levels of embedding`);
  const items: SelectItem[] = [];
  do items.push(parseItem(scanner, depth));
  while (scanner.take(','));
  return items;
}

function parseItem(scanner: Scanner, depth: number): SelectItem {
  if (scanner.take('*')) return { kind: 'all' };
  if (scanner.take('...')) return parseEmbed(scanner, scanner.name(), undefined, true, depth);
  let name = scanner.name('"...", field name, "*" or "count()"');
  let alias: string | undefined;
  if (scanner.sees(':') && !scanner.sees('::')) {
    scanner.expect(':');
    alias = name;
    name = scanner.name();
  }
  if (scanner.sees('!') || (scanner.sees('(') && !scanner.sees('()'))) {
    return parseEmbed(scanner, name, alias, false, depth);
  }
  const field: FieldRef = { name, path: parseJsonPath(scanner) };
  const cast = scanner.take('::') ? parseCast(scanner) : undefined;
  if (scanner.sees('()') || scanner.match(/\.(?:count|sum|avg|max|min)\(\)/y) !== undefined) {
    throw new RestError(400, 'PGRST123', 'Use of aggregate functions is not allowed');
  }
  return { kind: 'field', field, alias, cast };
}

function parseEmbed(
  scanner: Scanner,
  target: string,
  alias: string | undefined,
  spread: boolean,
  depth: number,
): EmbedItem {
  let hint: string | undefined;
  let inner = false;
  while (scanner.take('!')) {
    const modifier = scanner.name('foreign key name, "inner" or "left"');
    if (modifier === 'inner') inner = true;
    else if (modifier !== 'left') hint = modifier;
  }
  scanner.expect('(');
  const select = scanner.sees(')') ? [] : parseItems(scanner, depth + 1);
  scanner.expect(')');
  return { kind: 'embed', target, alias, hint, inner, spread, select };
}

/** `->a->0->>b` after a column name. */
export function parseJsonPath(scanner: Scanner): JsonStep[] {
  const path: JsonStep[] = [];
  while (scanner.sees('->')) {
    const arrow = scanner.take('->>') ? '->>' : '->';
    if (arrow === '->') scanner.expect('->');
    const quoted = scanner.quoted();
    const key = quoted ?? scanner.match(/-?[^-:.,>()"]+/y);
    if (key === undefined) throw scanner.failure('json key or index');
    path.push({ arrow, key, isIndex: quoted === undefined && /^-?\d{1,9}$/.test(key) });
  }
  return path;
}

function parseCast(scanner: Scanner): string {
  const type = scanner.match(/[\w ]+(?:\(\d+(?:,\d+)?\))?(?:\[\])?/y)?.trim();
  if (type === undefined || type === '') throw scanner.failure('type name');
  return type;
}
