import type { StreamedChange, Tuple } from './pgoutput-decoder.ts';
import { jsonOf } from './record-json.ts';
import type { TableFacts } from './table-facts.ts';

/** Above this hosted sends only values of at most 64 bytes (`max_record_bytes`, default 1 MiB). */
const recordBytesMax = 1024 * 1024;
const keptValueBytesMax = 64;

export type ChangeError =
  | 'Error 400: Bad Request, no primary key'
  | 'Error 401: Unauthorized'
  | 'Error 413: Payload Too Large';

/** Why nobody of this role gets the row, or null. As `realtime.apply_rls` decides it. */
export function rolesError(change: StreamedChange, facts: TableFacts, role: string): ChangeError | null {
  if (change.action === 'DELETE') return null;
  if (facts.primaryKey.length === 0) return 'Error 400: Bad Request, no primary key';
  const selectable = facts.selectable.get(role);
  return facts.primaryKey.every((name) => selectable?.has(name)) ? null : 'Error 401: Unauthorized';
}

/** The `data` of an error: which table and what, nothing of the row. */
export function errorData(change: StreamedChange, error: ChangeError): string {
  return JSON.stringify({
    schema: change.relation.schema,
    table: change.relation.name,
    type: change.action,
    commit_timestamp: null,
    columns: [],
    errors: [error],
  });
}

/**
 * The `data` of a `postgres_changes` event as JSON text, for one role and one column selection.
 * Only columns the role may select; of a row that is gone from a table with row security, only its key.
 */
export function changeData(
  change: StreamedChange,
  facts: TableFacts,
  role: string,
  select: readonly string[] | null,
): string {
  const tooLarge = change.bytes > recordBytesMax;
  const selectable = facts.selectable.get(role) ?? new Set<string>();
  const chosen = (name: string) =>
    selectable.has(name) && (select === null || select.includes(name) || facts.primaryKey.includes(name));
  const parts = [
    `"schema":${JSON.stringify(change.relation.schema)}`,
    `"table":${JSON.stringify(change.relation.name)}`,
    `"type":"${change.action}"`,
    `"commit_timestamp":"${new Date(change.commitMs).toISOString()}"`,
    `"columns":${columnsJson(facts, chosen)}`,
    `"errors":${tooLarge ? '["Error 413: Payload Too Large"]' : 'null'}`,
  ];
  if (change.new) {
    // an unchanged TOAST value is not in the new row; a FULL old row has it
    const row = new Map([...(change.old ?? []), ...change.new]);
    parts.push(`"record":${rowJson(row, facts, chosen, tooLarge)}`);
  }
  if (change.action !== 'INSERT' && change.old) {
    const hidesAllButKey = change.action === 'DELETE' && facts.rowSecurity;
    const shown = (name: string) => chosen(name) && (!hidesAllButKey || facts.primaryKey.includes(name));
    parts.push(`"old_record":${rowJson(change.old, facts, shown, tooLarge)}`);
  }
  return `{${parts.join(',')}}`;
}

function columnsJson(facts: TableFacts, chosen: (name: string) => boolean): string {
  return JSON.stringify(
    facts.columns.filter(({ name }) => chosen(name)).map(({ name, type }) => ({ name, type })),
  );
}

function rowJson(row: Tuple, facts: TableFacts, shown: (name: string) => boolean, tooLarge: boolean): string {
  const fields: string[] = [];
  for (const { name, json } of facts.columns) {
    const value = row.get(name);
    if (value === undefined || !shown(name)) continue;
    if (tooLarge && value !== null && Buffer.byteLength(value) > keptValueBytesMax) continue;
    fields.push(`${JSON.stringify(name)}:${jsonOf(value, json)}`);
  }
  return `{${fields.join(',')}}`;
}
