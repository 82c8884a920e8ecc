import { type ChangeParams, changeIdOf } from '../join-config.ts';
import { FilterSyntaxError, type ParsedFilter, parseFilters } from './filters.ts';

/** One entry of `postgres_changes`, parsed; `*` stands for every schema or table. */
export interface SubscriptionParams {
  readonly id: number;
  readonly event: '*' | 'INSERT' | 'UPDATE' | 'DELETE';
  readonly schema: string;
  readonly table: string;
  readonly filters: readonly ParsedFilter[];
  /** null: all columns. */
  readonly select: readonly string[] | null;
}

/** Parameters that cannot be subscribed to, in hosted's words. */
export class SubscriptionParamsError extends Error {
  override readonly name = 'SubscriptionParamsError';
}

/** @throws SubscriptionParamsError */
export function parseSubscription(params: ChangeParams): SubscriptionParams {
  const select = parseSelect(params.select);
  const { schema, table, filter } = params;
  const [hasSchema, hasTable, hasFilter] = [schema, table, filter].map((value) => value !== undefined);
  const common = { id: changeIdOf(params), event: parseEvent(params.event) };
  if (typeof schema === 'string' && typeof table === 'string' && (!hasFilter || typeof filter === 'string')) {
    return withSelect({ ...common, schema, table, filters: filtersOf(filter) }, select);
  }
  if (typeof schema === 'string' && !hasTable && !hasFilter) {
    return withSelect({ ...common, schema, table: '*', filters: [] }, select);
  }
  if (typeof table === 'string' && !hasSchema && !hasFilter) {
    return withSelect({ ...common, schema: 'public', table, filters: [] }, select);
  }
  throw new SubscriptionParamsError(
    `No subscription params provided. Please provide at least a \`schema\` or \`table\` to subscribe to: ${JSON.stringify(params)}`,
  );
}

function filtersOf(filter: unknown): ParsedFilter[] {
  if (typeof filter !== 'string') return [];
  try {
    return parseFilters(filter);
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    throw new SubscriptionParamsError(`Error parsing \`filter\` params: ${error.message}`);
  }
}

function parseEvent(event: unknown): SubscriptionParams['event'] {
  const upper = typeof event === 'string' ? event.toUpperCase() : '*';
  return upper === 'INSERT' || upper === 'UPDATE' || upper === 'DELETE' ? upper : '*';
}

function parseSelect(select: unknown): string[] | null {
  if (typeof select === 'string') {
    throw new SubscriptionParamsError(
      'Error parsing `select` params: expected a list of column name strings, e.g. select: ["col1", "col2"]',
    );
  }
  if (!Array.isArray(select)) return null;
  const names = select.filter((name) => typeof name === 'string');
  return names.length === 0 ? null : names;
}

function withSelect(params: Omit<SubscriptionParams, 'select'>, select: string[] | null): SubscriptionParams {
  if (select && (params.schema === '*' || params.table === '*')) {
    throw new SubscriptionParamsError(
      'Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.',
    );
  }
  return { ...params, select };
}

/** The parameters as hosted puts them into its error messages. */
export function describeSubscription({ event, schema, table, filters, select }: SubscriptionParams): string {
  const filterText = filters
    .map((f) => `{${JSON.stringify(f.column)}, "${f.operator}", ${JSON.stringify(f.operand)}, ${f.negate}}`)
    .join(', ');
  const selectText = select ? `[${select.map((name) => JSON.stringify(name)).join(', ')}]` : 'nil';
  return `event: ${event}, schema: ${schema}, table: ${table}, filters: [${filterText}], select: ${selectText}`;
}
