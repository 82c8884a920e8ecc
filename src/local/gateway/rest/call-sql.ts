import { isObject } from '../../../kernel/json-object.ts';
import type { ApiRequest } from './api-request.ts';
import { type Catalogue, type DbFunction, type FunctionArg, nearestName, qualified } from './catalogue.ts';
import { finalSql, type ResultForm, wholeSource } from './final-sql.ts';
import type { Statement } from './pipeline.ts';
import { type ReadSource, readParts } from './read-sql.ts';
import { badBody, RestError } from './rest-error.ts';
import { arrayLiteral, Params, quoteName, quoteTable } from './sql-text.ts';
import { parseJson } from './write-sql.ts';

/** The arguments a request gives, before they are matched with a function. */
export type CallArguments =
  /** By POST: the names in the JSON object, the values stay in its text. */
  | {
      readonly kind: 'json';
      readonly names: readonly string[];
      readonly body: string;
      readonly isText: boolean;
    }
  /** By GET: text values, a name may come several times for a variadic argument. */
  | {
      readonly kind: 'query';
      readonly names: readonly string[];
      readonly values: ReadonlyMap<string, string[]>;
    };

/** @throws RestError PGRST102 */
export function callArguments(request: ApiRequest): CallArguments {
  if (request.method === 'GET' || request.method === 'HEAD') {
    const values = new Map<string, string[]>();
    for (const [name, value] of request.query.args) {
      const list = values.get(name);
      if (list) list.push(value);
      else values.set(name, [value]);
    }
    return { kind: 'query', names: [...values.keys()], values };
  }
  if (request.contentType === 'text') return { kind: 'json', names: [], body: request.body, isText: true };
  const body = request.body.trim() === '' ? '{}' : request.body;
  const value = parseJson(body);
  // an array is the one unnamed argument of a function that takes json
  if (!isObject(value) && !Array.isArray(value)) throw badBody('Empty or invalid json');
  const names = request.query.columns ?? (isObject(value) ? Object.keys(value) : []);
  return { kind: 'json', names, body, isText: false };
}

/** A function and how the arguments reach it. */
export interface ChosenFunction {
  readonly fn: DbFunction;
  /** The whole body is its one unnamed argument. */
  readonly wholeBody: boolean;
}

/**
 * Picks the overload whose arguments fit by name. Undefined when none does.
 * @throws RestError PGRST203 when several fit
 */
export function chooseFunction(
  catalogue: Catalogue,
  request: ApiRequest,
  given: CallArguments,
): ChosenFunction | undefined {
  const overloads = catalogue.functions.get(qualified(request.schema, request.name)) ?? [];
  const isRawArray = given.kind === 'json' && given.body.trimStart().startsWith('[');
  const byName =
    given.kind === 'json' && (given.isText || isRawArray)
      ? []
      : overloads.filter((fn) => fits(fn, given.names));
  const [only, second] = byName;
  if (only && !second) return { fn: only, wholeBody: false };
  if (second) {
    const candidates = byName.map((fn) => signature(fn)).join(', ');
    throw new RestError(
      300,
      'PGRST203',
      `Could not choose the best candidate function between: ${candidates}`,
      {
        hint: 'Try renaming the parameters or the function itself in the database so function overloading can be resolved',
      },
    );
  }
  if (given.kind !== 'json') return undefined;
  const wanted = given.isText ? ['text'] : ['json', 'jsonb'];
  const unnamed = overloads.find(
    ({ args: [first, ...more] }) =>
      first && more.length === 0 && first.name === '' && wanted.includes(first.type),
  );
  return unnamed && { fn: unnamed, wholeBody: true };
}

function fits(fn: DbFunction, names: readonly string[]): boolean {
  return (
    names.every((name) => fn.args.some((arg) => arg.name === name)) &&
    fn.args.every((arg) => !arg.required || (arg.name !== '' && names.includes(arg.name)))
  );
}

function signature(fn: DbFunction): string {
  return `${fn.schema}.${fn.name}(${fn.args.map(({ name, type }) => `${name} => ${type}`).join(', ')})`;
}

/** PGRST202 in PostgREST's words, with the nearest name as hint. */
export function functionNotFound(catalogue: Catalogue, request: ApiRequest, given: CallArguments): RestError {
  const name = `${request.schema}.${request.name}`;
  const isPlural = given.names.length !== 1;
  const list = given.names.join(', ');
  const called = given.names.length === 0 ? `${name} without parameters` : `${name}(${list})`;
  const searched =
    given.names.length === 0
      ? `${name} without parameters`
      : `${name} with parameter${isPlural ? 's' : ''} ${list}`;
  const alternative = given.kind === 'json' ? ' or with a single unnamed json/jsonb parameter' : '';
  const overloads = catalogue.functions.get(qualified(request.schema, request.name));
  const near = nearestName(request.name, catalogue.functions);
  const hint = overloads?.[0]
    ? `Perhaps you meant to call the function ${name}(${overloads[0].args.map((arg) => arg.name).join(', ')})`
    : near === undefined
      ? null
      : `Perhaps you meant to call the function ${request.schema}.${near}`;
  return new RestError(404, 'PGRST202', `Could not find the function ${called} in the schema cache`, {
    details: `Searched for the function ${searched}${alternative}, but no matches were found in the schema cache.`,
    hint,
  });
}

/** The statement of a call; its rows can be selected from, filtered and ordered like a table's. */
export function callStatement(
  request: ApiRequest,
  chosen: ChosenFunction,
  given: CallArguments,
  catalogue: Catalogue,
  form: ResultForm,
  withTotal: boolean,
): Statement {
  const params = new Params();
  const source = callSql(chosen, given, params);
  const { fn } = chosen;
  if (!fn.returnsComposite) {
    const shape = fn.returnsSet ? `${wholeSource}${scalarPage(request, params)}` : wholeSource;
    const total = withTotal ? 'SELECT count(*) FROM pgrst_source' : 'NULL::text';
    return { text: finalSql(source, shape, total, form), values: params.values };
  }
  const rows: ReadSource = {
    name: fn.name,
    qualifier: 'pgrst_source',
    from: 'pgrst_source',
    columns: fn.resultColumns,
    table: fn.resultTableOid === undefined ? undefined : catalogue.tablesByOid.get(fn.resultTableOid),
  };
  const parts = readParts(catalogue, request.query, rows, params);
  const shape = `SELECT ${parts.columns} ${parts.fromWhere}${parts.order}${parts.limit}`;
  const total = withTotal
    ? `SELECT count(*) FROM (SELECT 1 ${parts.fromWhere}) AS pgrst_counted`
    : 'NULL::text';
  return { text: finalSql(source, shape, total, form), values: params.values };
}

/** Sets of scalars have no columns to filter by, but pages of them can be asked for. */
function scalarPage(request: ApiRequest, params: Params): string {
  const { root } = request.query;
  const limit = root.limit === undefined ? '' : ` LIMIT ${params.add(String(root.limit))}::bigint`;
  const offset = root.offset ? ` OFFSET ${params.add(String(root.offset))}::bigint` : '';
  return `${limit}${offset}`;
}

function callSql({ fn, wholeBody }: ChosenFunction, given: CallArguments, params: Params): string {
  const name = quoteTable(fn);
  const { from, args } = argumentsSql(fn, wholeBody, given, params);
  const call = `${name}(${args})`;
  if (fn.returnsComposite) {
    return `SELECT pgrst_call.* FROM ${from === '' ? '' : `${from}, LATERAL `}${call} AS pgrst_call`;
  }
  return `SELECT ${call} AS pgrst_scalar${from === '' ? '' : ` FROM ${from}`}`;
}

function argumentsSql(
  fn: DbFunction,
  wholeBody: boolean,
  given: CallArguments,
  params: Params,
): { from: string; args: string } {
  if (given.kind === 'query') {
    const args = fn.args
      .filter(({ name }) => given.values.has(name))
      .map((arg) => `${variadic(arg)}${quoteName(arg.name)} := ${queryValue(arg, given.values, params)}`);
    return { from: '', args: args.join(', ') };
  }
  if (wholeBody) return { from: '', args: `${params.add(given.body)}::${fn.args[0]?.type ?? 'json'}` };
  const used = fn.args.filter(({ name }) => given.names.includes(name));
  if (used.length === 0) return { from: '', args: '' };
  const record = used.map(({ name, type }) => `${quoteName(name)} ${type}`).join(', ');
  return {
    from: `json_to_record(${params.add(given.body)}::json) AS pgrst_args (${record})`,
    args: used
      .map((arg) => `${variadic(arg)}${quoteName(arg.name)} := pgrst_args.${quoteName(arg.name)}`)
      .join(', '),
  };
}

function variadic(arg: FunctionArg): string {
  return arg.variadic ? 'VARIADIC ' : '';
}

function queryValue(arg: FunctionArg, values: ReadonlyMap<string, string[]>, params: Params): string {
  const list = values.get(arg.name) ?? [];
  // of a repeated name the last counts, but a variadic argument takes all
  const text = arg.variadic && list.length > 1 ? arrayLiteral(list) : (list.at(-1) ?? null);
  return `${params.add(text)}::${arg.type}`;
}
