import type { Row } from './pipeline.ts';

/** How the body of an answer is made of its rows. */
export type ResultForm = 'none' | 'list' | 'object' | 'scalar' | 'scalarList' | 'csv';

/** The one row every request's main statement gives. */
export interface FinalRow {
  /** All rows that match, where a count was asked for. */
  readonly total: number | undefined;
  /** Rows of this answer. */
  readonly rows: number;
  readonly body: string;
  /** What the database wants the answer's headers to be (`response.headers`): JSON, or undefined. */
  readonly headers: string | undefined;
  /** What the database wants the answer's status to be (`response.status`). */
  readonly status: string | undefined;
}

/**
 * Wraps the rows of a request into the one row that is its answer.
 * @param source SELECT, or writing statement with RETURNING: the CTE `pgrst_source`
 * @param shape SELECT that gives the rows to show, usually from `pgrst_source`
 * @param total SQL of the total, or `null`
 */
export function finalSql(source: string, shape: string, total: string, form: ResultForm): string {
  return `WITH pgrst_source AS (${source}), pgrst_rows AS (${shape}) \
SELECT (${total})::text, count(*)::text, ${bodySql[form]}, \
nullif(current_setting('response.headers', true), ''), \
nullif(current_setting('response.status', true), '') FROM pgrst_rows AS pgrst_row`;
}

/** The shape that shows the source as it is. */
export const wholeSource = 'SELECT * FROM pgrst_source';

const bodySql: Readonly<Record<ResultForm, string>> = {
  none: `''`,
  list: `coalesce(json_agg(pgrst_row), '[]')::text`,
  object: `coalesce(json_agg(pgrst_row) -> 0, 'null')::text`,
  scalar: `coalesce((json_agg(pgrst_row.pgrst_scalar) -> 0)::text, 'null')`,
  scalarList: `coalesce(json_agg(pgrst_row.pgrst_scalar), '[]')::text`,
  csv: `(SELECT coalesce(string_agg(k, ','), '') FROM (SELECT json_object_keys(row_to_json(pgrst_head)) AS k \
FROM (SELECT * FROM pgrst_rows LIMIT 1) AS pgrst_head) AS pgrst_keys) || E'\\n' \
|| coalesce(string_agg(substring(pgrst_row::text, 2, length(pgrst_row::text) - 2), E'\\n'), '')`,
};

/** Reads the row of a statement made by `finalSql`. */
export function finalRow(rows: readonly Row[] | undefined): FinalRow {
  const [total, count, body, headers, status] = rows?.[0] ?? [];
  return {
    total: total === null || total === undefined ? undefined : Number(total),
    rows: Number(count ?? 0),
    body: body ?? '',
    headers: headers ?? undefined,
    status: status ?? undefined,
  };
}
