import type pg from 'pg';
import { type ApiRequest, type RestInput, readApiRequest } from './api-request.ts';
import {
  type CallArguments,
  callArguments,
  callStatement,
  chooseFunction,
  functionNotFound,
} from './call-sql.ts';
import { type Catalogue, type DbFunction, nearestName, qualified, type Table } from './catalogue.ts';
import { finalRow, finalSql, type ResultForm, wholeSource } from './final-sql.ts';
import { openApiDocument } from './open-api.ts';
import { type PipelineOptions, runPipeline, type Statement } from './pipeline.ts';
import type { CountKind } from './preferences.ts';
import { maxRows, readParts, tableSource } from './read-sql.ts';
import { callAnswer, type RestAnswer, readAnswer, singleObject, writeAnswer } from './rest-answer.ts';
import { RestError, restErrorOf } from './rest-error.ts';
import type { SchemaCache } from './schema-cache.ts';
import { setupStatement } from './setup-sql.ts';
import { Params } from './sql-text.ts';
import { writeStatement } from './write-sql.ts';

/**
 * Answers requests to `/rest/v1` the way PostgREST does: each in one transaction under the caller's role and
 * claims, in one round trip to the database where the answer does not decide about the transaction.
 */
export class RestHandler {
  readonly #pool: pg.Pool;
  readonly #cache: SchemaCache;

  /** @param pool as `authenticator` */
  constructor(pool: pg.Pool, cache: SchemaCache) {
    this.#pool = pool;
    this.#cache = cache;
  }

  /** @throws RestError for everything that is the client's or the database's fault */
  async handle(input: RestInput): Promise<RestAnswer> {
    try {
      if (input.path === '' && (input.method === 'GET' || input.method === 'HEAD')) {
        return openApiDocument(await this.#cache.current(), input.method === 'HEAD');
      }
      const request = readApiRequest(input);
      return request.isCall ? await this.#call(request, input) : await this.#table(request, input);
    } catch (error) {
      throw restErrorOf(error, input.claims.role === 'anon');
    }
  }

  async #table(request: ApiRequest, input: RestInput): Promise<RestAnswer> {
    const { catalogue, found } = await this.#lookUp(
      (reading) => reading.tables.get(qualified(request.schema, request.name)),
      (reading) => tableNotFound(reading, request),
    );
    return request.method === 'GET' || request.method === 'HEAD'
      ? this.#read(request, found, catalogue, input)
      : this.#write(request, found, catalogue, input);
  }

  async #read(
    request: ApiRequest,
    table: Table,
    catalogue: Catalogue,
    input: RestInput,
  ): Promise<RestAnswer> {
    const statements = [
      setupStatement(input, catalogue, true),
      ...readStatements(request, table, catalogue, formOf(request)),
    ];
    const [, rows, plan] = await runPipeline(this.#pool, statements, {
      rollback: request.preferences.rollback,
    });
    const result = finalRow(rows);
    if (request.accept === 'object') singleObject(result.rows);
    return readAnswer(request, result, plan?.map(([line]) => line ?? '').join(''));
  }

  async #write(
    request: ApiRequest,
    table: Table,
    catalogue: Catalogue,
    input: RestInput,
  ): Promise<RestAnswer> {
    const shows = request.preferences.return === 'representation';
    const form = shows ? formOf(request) : 'none';
    const statements = [
      setupStatement(input, catalogue, false),
      writeStatement(request, table, catalogue, form),
    ];
    const [, rows] = await runPipeline(this.#pool, statements, this.#options(request, shows));
    return writeAnswer(request, table, finalRow(rows));
  }

  async #call(request: ApiRequest, input: RestInput): Promise<RestAnswer> {
    const given: CallArguments = callArguments(request);
    const { catalogue, found: chosen } = await this.#lookUp(
      (reading) => chooseFunction(reading, request, given),
      (reading) => functionNotFound(reading, request, given),
    );
    const { fn } = chosen;
    const readOnly = request.method !== 'POST' || !fn.isVolatile;
    const withTotal = request.preferences.count !== undefined;
    const form = callForm(request, fn);
    const statements = [
      setupStatement(input, catalogue, readOnly),
      callStatement(request, chosen, given, catalogue, form, withTotal),
    ];
    const [, rows] = await runPipeline(this.#pool, statements, this.#options(request, true));
    return callAnswer(request, fn, finalRow(rows));
  }

  /** Looks in the newest reading, and once more in one that surely has everything committed before. */
  async #lookUp<T>(
    find: (catalogue: Catalogue) => T | undefined,
    missing: (catalogue: Catalogue) => RestError,
  ): Promise<{ catalogue: Catalogue; found: T }> {
    let catalogue = await this.#cache.current();
    let found = find(catalogue);
    if (found === undefined) {
      catalogue = await this.#cache.refreshed();
      found = find(catalogue);
    }
    if (found === undefined) throw missing(catalogue);
    return { catalogue, found };
  }

  /** A check before the transaction ends is needed only where the number of rows can refuse it. */
  #options(request: ApiRequest, shows: boolean): PipelineOptions {
    const { maxAffected, rollback } = request.preferences;
    const single = shows && request.accept === 'object';
    if (maxAffected === undefined && !single) return { rollback };
    return {
      rollback,
      check: (results) => {
        const { rows } = finalRow(results[1]);
        if (maxAffected !== undefined && rows > maxAffected) {
          throw new RestError(400, 'PGRST124', 'Query result exceeds max-affected preference constraint', {
            details: `The query affects ${rows} rows`,
          });
        }
        if (single) singleObject(rows);
      },
    };
  }
}

function formOf(request: ApiRequest): ResultForm {
  if (request.method === 'HEAD') return 'none';
  if (request.accept === 'csv') return 'csv';
  return request.accept === 'object' ? 'object' : 'list';
}

function callForm(request: ApiRequest, fn: DbFunction): ResultForm {
  if (request.method === 'HEAD' || fn.returnsVoid) return 'none';
  if (fn.returnsComposite) return fn.returnsSet ? formOf(request) : 'object';
  return fn.returnsSet && request.accept !== 'object' ? 'scalarList' : 'scalar';
}

/** The read itself and, where an estimate is asked for, the planner's view of it. */
function readStatements(
  request: ApiRequest,
  table: Table,
  catalogue: Catalogue,
  form: ResultForm,
): Statement[] {
  const params = new Params();
  const parts = readParts(catalogue, request.query, tableSource(table), params);
  const source = `SELECT ${parts.columns} ${parts.fromWhere}${parts.order}${parts.limit}`;
  const total = totalSql[request.preferences.count ?? 'planned'](parts.fromWhere);
  const statements: Statement[] = [
    { text: finalSql(source, wholeSource, total, form), values: params.values },
  ];
  const { count } = request.preferences;
  if (count === 'planned' || count === 'estimated') {
    // without order and limit, whose parameters come last: the others are numbered without a gap
    const text = `EXPLAIN (FORMAT JSON) SELECT ${parts.columns} ${parts.fromWhere}`;
    statements.push({ text, values: params.values.slice(0, highestParam(text)) });
  }
  return statements;
}

const totalSql: Readonly<Record<CountKind, (fromWhere: string) => string>> = {
  exact: (fromWhere) => `SELECT count(*) FROM (SELECT 1 ${fromWhere}) AS pgrst_counted`,
  // up to what one answer can hold the count is exact, beyond it the planner's guess will do
  estimated: (fromWhere) =>
    `SELECT count(*) FROM (SELECT 1 ${fromWhere} LIMIT ${maxRows + 1}) AS pgrst_counted`,
  planned: () => 'NULL::text',
};

function highestParam(sql: string): number {
  return Math.max(0, ...[...sql.matchAll(/\$(\d+)/g)].map(([, digits]) => Number(digits)));
}

function tableNotFound(catalogue: Catalogue, request: ApiRequest): RestError {
  const name = `${request.schema}.${request.name}`;
  const near = nearestName(request.name, catalogue.tables);
  return new RestError(404, 'PGRST205', `Could not find the table '${name}' in the schema cache`, {
    hint: near === undefined ? null : `Perhaps you meant the table '${request.schema}.${near}'`,
  });
}
