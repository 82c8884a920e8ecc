import type pg from 'pg';
import { nearest } from '../../../kernel/nearest.ts';
import { foreignKeysSql, functionsSql, roleSettingsSql, tablesSql, typesSql } from './catalogue.sql.ts';

export interface Column {
  readonly name: string;
  readonly isJson: boolean;
  readonly isTsVector: boolean;
}

export interface TableColumn extends Column {
  /** As SQL writes it: `character varying(40)`. */
  readonly type: string;
  readonly default: string | null;
  /** Computed by the database, never written. */
  readonly generated: boolean;
}

export interface Table {
  readonly schema: string;
  readonly name: string;
  readonly oid: string;
  readonly columns: ReadonlyMap<string, TableColumn>;
  readonly primaryKey: readonly string[];
}

export interface ForeignKey {
  readonly name: string;
  readonly tableOid: string;
  readonly referencedOid: string;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
  /** At most one row per referenced row: embeds as one object. */
  readonly isUnique: boolean;
}

export interface FunctionArg {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly variadic: boolean;
}

export interface DbFunction {
  readonly schema: string;
  readonly name: string;
  readonly args: readonly FunctionArg[];
  readonly isVolatile: boolean;
  readonly returnsSet: boolean;
  readonly returnsVoid: boolean;
  readonly returnsComposite: boolean;
  /** Of a composite result, where PostgreSQL knows them beforehand. */
  readonly resultColumns: ReadonlyMap<string, Column> | undefined;
  /** The table whose rows it returns: embeds work from there. */
  readonly resultTableOid: string | undefined;
}

/** One reading of pg_catalog; never changed, only replaced. */
export interface Catalogue {
  readonly tables: ReadonlyMap<string, Table>;
  readonly tablesByOid: ReadonlyMap<string, Table>;
  readonly foreignKeys: readonly ForeignKey[];
  readonly functions: ReadonlyMap<string, readonly DbFunction[]>;
  readonly types: ReadonlyMap<string, string>;
  readonly statementTimeouts: ReadonlyMap<string, string>;
}

/** The key of a table or function in its map; a NUL cannot occur in a name. */
export function qualified(schema: string, name: string): string {
  return `${schema}\0${name}`;
}

/** The name that was most likely meant by one that is not there. */
export function nearestName(name: string, known: ReadonlyMap<string, unknown>): string | undefined {
  // PostgreSQL's limit for names: nothing longer can be a mistyped one
  if (name.length > 63) return undefined;
  return nearest(
    name,
    [...known.keys()].map((key) => key.slice(key.indexOf('\0') + 1)),
  );
}

interface TableRow {
  schema: string;
  name: string;
  oid: string;
  columns: TableColumn[];
  primary_key: string[];
}

interface ForeignKeyRow {
  name: string;
  table_oid: string;
  referenced_oid: string;
  columns: string[];
  referenced_columns: string[];
  is_unique: boolean;
}

interface FunctionRow {
  schema: string;
  name: string;
  volatility: string;
  returns_set: boolean;
  args: { name: string; mode: string; type: string }[] | null;
  defaults: number;
  returns_void: boolean;
  returns_composite: boolean;
  return_relation: string | null;
  relation_columns: Column[] | null;
}

/** Reads the whole catalogue of the exposed schemas: about 10 ms for a hundred tables. */
export async function loadCatalogue(client: pg.Client, schemas: readonly string[]): Promise<Catalogue> {
  const exposed = [[...schemas]];
  // one connection runs them one after another; the type arguments say what each query's columns are
  const tableRows = (await client.query<TableRow>(tablesSql, exposed)).rows;
  const keyRows = (await client.query<ForeignKeyRow>(foreignKeysSql, exposed)).rows;
  const functionRows = (await client.query<FunctionRow>(functionsSql, exposed)).rows;
  const typeRows = (await client.query<{ name: string; quoted: string }>(typesSql, exposed)).rows;
  const settingRows = (await client.query<{ role: string; name: string; value: string }>(roleSettingsSql))
    .rows;
  const tables = tableRows.map(tableOf);
  return {
    tables: new Map(tables.map((table) => [qualified(table.schema, table.name), table])),
    tablesByOid: new Map(tables.map((table) => [table.oid, table])),
    foreignKeys: keyRows.map(foreignKeyOf),
    functions: groupFunctions(functionRows.map(functionOf)),
    types: new Map([...typeRows.map(({ name, quoted }) => [name, quoted] as const), ...sqlTypeNames]),
    statementTimeouts: new Map(
      settingRows.filter(({ name }) => name === 'statement_timeout').map(({ role, value }) => [role, value]),
    ),
  };
}

/** Names of the SQL grammar that are not names of pg_type. */
const sqlTypeNames: ReadonlyArray<readonly [string, string]> = [
  ['int', 'int4'],
  ['integer', 'int4'],
  ['smallint', 'int2'],
  ['bigint', 'int8'],
  ['real', 'float4'],
  ['float', 'float8'],
  ['double precision', 'float8'],
  ['decimal', 'numeric'],
  ['boolean', 'bool'],
  ['character varying', 'varchar'],
  ['character', 'bpchar'],
  ['timestamp without time zone', 'timestamp'],
  ['timestamp with time zone', 'timestamptz'],
  ['time without time zone', 'time'],
  ['time with time zone', 'timetz'],
];

function tableOf(row: TableRow): Table {
  return {
    schema: row.schema,
    name: row.name,
    oid: row.oid,
    columns: new Map(row.columns.map((column) => [column.name, column])),
    primaryKey: row.primary_key,
  };
}

function foreignKeyOf(row: ForeignKeyRow): ForeignKey {
  return {
    name: row.name,
    tableOid: row.table_oid,
    referencedOid: row.referenced_oid,
    columns: row.columns,
    referencedColumns: row.referenced_columns,
    isUnique: row.is_unique,
  };
}

function functionOf(row: FunctionRow): DbFunction {
  const all = row.args ?? [];
  const inputs = all.filter(({ mode }) => mode === 'i' || mode === 'b' || mode === 'v');
  const outputs = all.filter(({ mode }) => mode === 'o' || mode === 'b' || mode === 't');
  const columns =
    outputs.length > 0
      ? outputs.map(({ name, type }) => ({
          name,
          isJson: type === 'json' || type === 'jsonb',
          isTsVector: type === 'tsvector',
        }))
      : row.relation_columns;
  return {
    schema: row.schema,
    name: row.name,
    // defaults always stand on the last input arguments
    args: inputs.map(({ name, mode, type }, index) => ({
      name,
      type,
      required: index < inputs.length - row.defaults && mode !== 'v',
      variadic: mode === 'v',
    })),
    isVolatile: row.volatility === 'v',
    returnsSet: row.returns_set,
    returnsVoid: row.returns_void,
    returnsComposite: row.returns_composite,
    resultColumns: columns === null ? undefined : new Map(columns.map((column) => [column.name, column])),
    resultTableOid: outputs.length > 0 ? undefined : (row.return_relation ?? undefined),
  };
}

function groupFunctions(functions: readonly DbFunction[]): Map<string, DbFunction[]> {
  const groups = new Map<string, DbFunction[]>();
  for (const one of functions) {
    const key = qualified(one.schema, one.name);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return groups;
}
