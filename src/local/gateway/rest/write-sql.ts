import { isObject } from '../../../kernel/json-object.ts';
import type { ApiRequest } from './api-request.ts';
import type { Catalogue, Table, TableColumn } from './catalogue.ts';
import { conditionSql } from './condition-sql.ts';
import { finalSql, type ResultForm, wholeSource } from './final-sql.ts';
import type { Statement } from './pipeline.ts';
import type { SelectItem } from './query-tree.ts';
import { readParts, tableSource } from './read-sql.ts';
import { resolveRelationship } from './relationships.ts';
import { badBody, RestError } from './rest-error.ts';
import { Params, quoteName, quoteTable } from './sql-text.ts';

/**
 * The INSERT, UPDATE or DELETE of a request.
 * @param form how the rows are shown; `none` returns nothing of them, so that a role without SELECT may write
 * @throws RestError PGRST102, PGRST204, 21000, 42703 and what a read throws
 */
export function writeStatement(
  request: ApiRequest,
  table: Table,
  catalogue: Catalogue,
  form: ResultForm,
): Statement {
  const params = new Params();
  const write = writeSql(request, table, params);
  if (request.preferences.return === 'headers-only') {
    const source = returning(write, table, table.primaryKey.map(quoteName).join(', ') || nothing);
    return { text: finalSql(source, wholeSource, 'NULL::text', 'list'), values: params.values };
  }
  if (form === 'none') {
    const source = returning(write, table, nothing);
    return { text: finalSql(source, wholeSource, 'NULL::text', 'none'), values: params.values };
  }
  const source = returning(write, table, returningList(request, table, catalogue));
  const shown = {
    ...tableSource(table),
    from: 'pgrst_source',
    qualifier: 'pgrst_source',
  };
  const parts = readParts(catalogue, request.query, shown, params, false);
  const shape = `SELECT ${parts.columns} ${parts.fromWhere}${parts.order}`;
  return { text: finalSql(source, shape, 'NULL::text', form), values: params.values };
}

/** A column for rows that only count: returning it takes no privilege to read. */
const nothing = '1 AS pgrst_written';

/** @param write undefined for a request that writes nothing: an empty list, an update to `{}` */
function returning(write: string | undefined, table: Table, list: string): string {
  if (write !== undefined) return `${write} RETURNING ${list}`;
  return `SELECT ${list}${list === nothing ? '' : ` FROM ${quoteTable(table)}`} WHERE false`;
}

function writeSql(request: ApiRequest, table: Table, params: Params): string | undefined {
  if (request.method === 'POST') return insertSql(request, table, params);
  refuseUnfiltered(request);
  if (request.method === 'PATCH') return updateSql(request, table, params);
  return `DELETE FROM ${quoteTable(table)}${whereSql(request, table, params)}`;
}

/** Hosted loads pg-safeupdate for API requests: a write to all rows must say so with a filter. */
function refuseUnfiltered(request: ApiRequest): void {
  if (request.query.root.where.length > 0) return;
  const verb = request.method === 'PATCH' ? 'UPDATE' : 'DELETE';
  throw new RestError(400, '21000', `${verb} requires a WHERE clause`);
}

function whereSql(request: ApiRequest, table: Table, params: Params): string {
  const source = tableSource(table);
  const { where } = request.query.root;
  return ` WHERE ${where.map((condition) => conditionSql(condition, source, params)).join(' AND ')}`;
}

/** What RETURNING must give for the select list, its embeds and its order. */
function returningList(request: ApiRequest, table: Table, catalogue: Catalogue): string {
  const names = new Set<string>();
  for (const item of request.query.select) {
    if (item.kind === 'all') return `${quoteTable(table)}.*`;
    for (const name of columnsOf(item, table, catalogue)) names.add(name);
  }
  for (const { field } of request.query.root.order) names.add(field.name);
  const known = [...names].filter((name) => table.columns.has(name));
  // qualified, because an update has the columns of the body beside the table's
  return known.map((name) => `${quoteTable(table)}.${quoteName(name)}`).join(', ') || nothing;
}

function columnsOf(
  item: Exclude<SelectItem, { kind: 'all' }>,
  table: Table,
  catalogue: Catalogue,
): readonly string[] {
  if (item.kind === 'field') return [item.field.name];
  return resolveRelationship(catalogue, table, item).pairs.map(([outer]) => outer);
}

interface Payload {
  readonly columns: readonly TableColumn[];
  /** JSON text of an array. */
  readonly json: string;
  readonly rows: number;
}

/** Reads the body; which columns it writes comes from `columns=` or from the objects' own keys, which must agree. */
function payloadOf(request: ApiRequest, table: Table, single: boolean): Payload {
  const value = parseJson(request.body);
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (single && Array.isArray(value) && value.length !== 1) {
    throw badBody('The body of an update must be one JSON object');
  }
  if (!list.every(isObject)) throw badBody('Empty or invalid json');
  const names = request.query.columns ?? keysOf(list);
  return {
    columns: names.map((name) => columnOf(table, name)),
    json: Array.isArray(value) ? request.body : `[${request.body}]`,
    rows: list.length,
  };
}

/** @throws RestError PGRST102 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badBody('Empty or invalid json');
  }
}

function keysOf(list: ReadonlyArray<Record<string, unknown>>): string[] {
  const [first, ...more] = list.map((row) => Object.keys(row));
  if (first === undefined) return [];
  const expected = new Set(first);
  for (const keys of more) {
    if (keys.length !== expected.size || !keys.every((key) => expected.has(key))) {
      throw badBody('All object keys must match');
    }
  }
  return first;
}

function columnOf(table: Table, name: string): TableColumn {
  const column = table.columns.get(name);
  if (column) return column;
  throw new RestError(
    400,
    'PGRST204',
    `Could not find the '${name}' column of '${table.name}' in the schema cache`,
  );
}

function insertSql(request: ApiRequest, table: Table, params: Params): string | undefined {
  const payload = payloadOf(request, table, false);
  const target = quoteTable(table);
  const conflict = conflictSql(request, table, payload);
  if (payload.columns.length === 0) {
    if (payload.rows === 1) return `INSERT INTO ${target} DEFAULT VALUES${conflict}`;
    if (payload.rows > 1) throw badBody('Several rows without any column cannot be inserted at once');
    return undefined;
  }
  const names = payload.columns.map(({ name }) => quoteName(name)).join(', ');
  const json = `${params.add(payload.json)}::json`;
  const rows =
    request.preferences.missing === 'default'
      ? `jsonb_to_recordset((SELECT jsonb_agg(${defaultsSql(payload.columns)} || pgrst_one) FROM jsonb_array_elements(${json}::jsonb) AS pgrst_one))`
      : `json_to_recordset(${json})`;
  const list = payload.columns.map(({ name }) => `pgrst_body.${quoteName(name)}`).join(', ');
  return `INSERT INTO ${target} (${names}) SELECT ${list} FROM ${rows} AS pgrst_body (${recordSql(payload.columns)})${conflict}`;
}

/** The defaults of the written columns, for rows that leave them out (`missing=default`). */
function defaultsSql(columns: readonly TableColumn[]): string {
  const pairs = columns
    .filter((column) => column.default !== null && !column.generated)
    .map((column) => `${literal(column.name)}, ${column.default}`);
  return `jsonb_build_object(${pairs.join(', ')})`;
}

/** A name of the catalogue as a text literal. */
function literal(name: string): string {
  return `'${name.replaceAll("'", "''")}'`;
}

function recordSql(columns: readonly TableColumn[]): string {
  return columns.map(({ name, type }) => `${quoteName(name)} ${type}`).join(', ');
}

function conflictSql(request: ApiRequest, table: Table, payload: Payload): string {
  const { resolution } = request.preferences;
  if (resolution === undefined) return '';
  const on = request.query.onConflict?.map((name) => columnOf(table, name).name) ?? table.primaryKey;
  if (on.length === 0) return '';
  const target = ` ON CONFLICT (${on.map(quoteName).join(', ')})`;
  // a row that is only its key has nothing to merge
  if (resolution === 'ignore-duplicates' || payload.columns.length === 0) return `${target} DO NOTHING`;
  const sets = payload.columns.map(({ name }) => `${quoteName(name)} = EXCLUDED.${quoteName(name)}`);
  return `${target} DO UPDATE SET ${sets.join(', ')}`;
}

function updateSql(request: ApiRequest, table: Table, params: Params): string | undefined {
  const payload = payloadOf(request, table, true);
  if (payload.columns.length === 0) return undefined;
  const sets = payload.columns.map(({ name }) => `${quoteName(name)} = pgrst_body.${quoteName(name)}`);
  const body = `json_to_recordset(${params.add(payload.json)}::json) AS pgrst_body (${recordSql(payload.columns)})`;
  return `UPDATE ${quoteTable(table)} SET ${sets.join(', ')} FROM ${body}${whereSql(request, table, params)}`;
}
