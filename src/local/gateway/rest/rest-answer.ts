import type { ApiRequest } from './api-request.ts';
import type { DbFunction, Table } from './catalogue.ts';
import type { FinalRow } from './final-sql.ts';
import { maxRows } from './read-sql.ts';
import { isHeader, RestError } from './rest-error.ts';

export interface RestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @throws RestError PGRST116 unless there is exactly one row */
export function singleObject(rows: number): void {
  if (rows === 1) return;
  throw new RestError(406, 'PGRST116', 'Cannot coerce the result to a single JSON object', {
    details: `The result contains ${rows} rows`,
  });
}

/**
 * @param plan the planner's JSON, where the count is planned or estimated
 * @throws RestError PGRST103 when the offset lies beyond a known total
 */
export function readAnswer(request: ApiRequest, result: FinalRow, plan: string | undefined): RestAnswer {
  const { offset } = request.query.root;
  const total = totalOf(request, result, plan);
  return finish(request, result, {
    status: rangeStatus(offset, result.rows, total),
    headers: { 'Content-Range': contentRange(offset, result.rows, total) },
    body: result.body,
  });
}

export function writeAnswer(request: ApiRequest, table: Table, result: FinalRow): RestAnswer {
  const { preferences, method } = request;
  const total = preferences.count === undefined ? undefined : result.rows;
  const shows = preferences.return === 'representation';
  const range = method === 'PATCH' ? contentRange(0, result.rows, total) : `*/${total ?? '*'}`;
  const headers: Record<string, string> = { 'Content-Range': range };
  if (preferences.return === 'headers-only') {
    const location = method === 'POST' ? locationOf(table, result) : undefined;
    if (location !== undefined) headers.Location = location;
  }
  const done = method === 'POST' ? 201 : shows ? 200 : 204;
  return finish(request, result, { status: done, headers, body: shows ? result.body : '' });
}

export function callAnswer(request: ApiRequest, fn: DbFunction, result: FinalRow): RestAnswer {
  if (fn.returnsVoid) return finish(request, result, { status: 204, headers: {}, body: '' });
  const offset = fn.returnsSet ? request.query.root.offset : 0;
  return finish(request, result, {
    status: rangeStatus(offset, result.rows, result.total),
    headers: { 'Content-Range': contentRange(offset, result.rows, result.total) },
    body: result.body,
  });
}

function totalOf(request: ApiRequest, result: FinalRow, plan: string | undefined): number | undefined {
  const { count } = request.preferences;
  if (count === undefined || count === 'exact' || plan === undefined) return result.total;
  const planned = plannedRows(plan);
  if (count === 'planned') return planned;
  const counted = result.total ?? 0;
  return counted > maxRows ? Math.max(planned, counted) : counted;
}

function plannedRows(plan: string): number {
  // PostgreSQL's own EXPLAIN (FORMAT JSON) has this shape
  const [top] = JSON.parse(plan) as [{ Plan: { 'Plan Rows': number } }];
  return top.Plan['Plan Rows'];
}

function contentRange(offset: number, rows: number, total: number | undefined): string {
  const range = rows === 0 ? '*' : `${offset}-${offset + rows - 1}`;
  return `${range}/${total ?? '*'}`;
}

function rangeStatus(offset: number, rows: number, total: number | undefined): number {
  if (total === undefined) return 200;
  if (offset > total) {
    throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
      details: `An offset of ${offset} was requested, but there are only ${total} rows.`,
      headers: { 'Content-Range': `*/${total}` },
    });
  }
  return rows < total ? 206 : 200;
}

/** `/table?id=eq.1` of the one row that was written. */
function locationOf(table: Table, result: FinalRow): string | undefined {
  if (table.primaryKey.length === 0 || result.rows !== 1) return undefined;
  // the body is the key columns of the rows, made by our own statement
  const [row] = JSON.parse(result.body) as [Record<string, unknown>];
  const pairs = table.primaryKey.map(
    (name) => `${encodeURIComponent(name)}=eq.${encodeURIComponent(String(row[name]))}`,
  );
  return `/${encodeURIComponent(table.name)}?${pairs.join('&')}`;
}

/** Adds what all answers have, and lets the database have the last word (`response.headers`, `response.status`). */
function finish(request: ApiRequest, result: FinalRow, answer: RestAnswer): RestAnswer {
  const { applied } = request.preferences;
  const status = result.status === undefined ? answer.status : statusFromDatabase(result.status);
  const hasBody = status !== 204 && answer.body !== '';
  return {
    status,
    headers: {
      ...(hasBody || request.method === 'HEAD' ? { 'Content-Type': contentTypes[request.accept] } : {}),
      ...answer.headers,
      ...(applied.length > 0 ? { 'Preference-Applied': applied.join(', ') } : {}),
      ...(result.headers === undefined ? {} : headersFromDatabase(result.headers)),
    },
    body: hasBody ? answer.body : '',
  };
}

const contentTypes = {
  json: 'application/json; charset=utf-8',
  object: 'application/vnd.pgrst.object+json; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
} as const;

function statusFromDatabase(text: string): number {
  const status = Number(text);
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new RestError(500, 'PGRST112', 'response.status guc must be a valid status code');
}

function headersFromDatabase(text: string): Record<string, string> {
  const malformed = new RestError(
    500,
    'PGRST111',
    'response.headers guc must be a JSON array composed of objects with a single key and a string value',
  );
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw malformed;
  }
  if (!Array.isArray(list)) throw malformed;
  const pairs = list.map((item: unknown) => {
    const [header, ...more] = typeof item === 'object' && item !== null ? Object.entries(item) : [];
    if (!header || more.length > 0 || !isHeader(header)) throw malformed;
    return header;
  });
  return Object.fromEntries(pairs);
}
