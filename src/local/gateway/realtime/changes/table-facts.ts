import type pg from 'pg';
import { tableFactsSql } from './changes.sql.ts';
import { type JsonType, valueKind } from './record-json.ts';

interface ColumnFacts {
  readonly name: string;
  /** pg_type.typname: `int8`, `_text`, … */
  readonly type: string;
  readonly json: JsonType;
}

/** A table as the catalogue has it now. */
export interface TableFacts {
  readonly rowSecurity: boolean;
  readonly primaryKey: readonly string[];
  /** In the order of the table. */
  readonly columns: readonly ColumnFacts[];
  /** By role: the columns it may select. */
  readonly selectable: ReadonlyMap<string, ReadonlySet<string>>;
  /** The statement of gateway_visible_rows; null without a primary key. */
  readonly visibleRowsDefinition: string | null;
}

interface FactsRow {
  row_security: boolean;
  primary_key: string[];
  columns:
    | { name: string; type: string; base: number; element: number | null; delimiter: string | null }[]
    | null;
  selectable: Record<string, string[]> | null;
  visible_rows_definition: string | null;
}

/** null: the table is gone. */
export async function readTableFacts(
  client: pg.Pool,
  oid: number,
  roles: readonly string[],
): Promise<TableFacts | null> {
  const result = await client.query<FactsRow>({
    name: 'gw_table_facts', // planning it costs more than running it
    text: tableFactsSql,
    values: [oid, roles],
  });
  const row = result.rows[0];
  if (!row) return null;
  return {
    rowSecurity: row.row_security,
    primaryKey: row.primary_key,
    columns: (row.columns ?? []).map(({ name, type, base, element, delimiter }) => ({
      name,
      type,
      json: {
        kind: valueKind(element ?? base),
        arrayDelimiter: element === null ? null : (delimiter ?? ','),
      },
    })),
    selectable: new Map(
      Object.entries(row.selectable ?? {}).map(([role, names]) => [role, new Set(names)] as const),
    ),
    visibleRowsDefinition: row.visible_rows_definition,
  };
}
