import type pg from 'pg';
import { DeadlineError } from '../../../kernel/deadline.ts';
import { isPgError, RestError } from './rest-error.ts';

/** A statement with its text parameters; types are left for PostgreSQL to infer. */
export interface Statement {
  readonly text: string;
  readonly values: ReadonlyArray<string | null>;
}

export type Row = ReadonlyArray<string | null>;

export interface PipelineOptions {
  /** Undo everything at the end, whatever happened. */
  readonly rollback: boolean;
  /**
   * Looks at the rows of all statements before the transaction ends; what it throws undoes the transaction.
   * Costs one more round trip, so it is given only where the answer depends on the result.
   */
  readonly check?: (results: readonly Row[][]) => void;
}

/**
 * Above the longest statement timeout of hosted roles (8 s) several times over: it is reached only when the
 * server stopped answering.
 */
const deadlineMs = 30_000;

/** Statements kept prepared per connection: clients use a few dozen shapes; a scan of made-up ones must not fill the server's memory. */
const preparedLimit = 200;

/** What node-postgres' Connection can do at run time; its published types describe an older signature. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { name: string; text: string; types: number[] }): void;
  bind(message: { portal: string; statement: string; values: ReadonlyArray<string | null> }): void;
  execute(message: { portal: string; rows: number }): void;
  close(message: { type: 'S'; name: string }): void;
  flush(): void;
  sync(): void;
  on(event: 'parseComplete', listener: () => void): void;
}

/** Which statements one connection has prepared. */
class PreparedStatements {
  readonly #names = new Map<string, string>();
  #awaiting: [text: string, name: string][] = [];
  #serial = 0;

  constructor(wire: Wire) {
    wire.on('parseComplete', () => {
      const parsed = this.#awaiting.shift();
      if (parsed) this.#names.set(...parsed);
    });
  }

  /** Makes the texts the most recently used ones and closes the oldest beyond the limit. */
  touch(wire: Wire, statements: readonly Statement[]): void {
    for (const { text } of statements) {
      const name = this.#names.get(text);
      if (name === undefined) continue;
      this.#names.delete(text);
      this.#names.set(text, name);
    }
    for (const [text, name] of this.#names) {
      if (this.#names.size <= preparedLimit) break;
      this.#names.delete(text);
      wire.close({ type: 'S', name });
    }
  }

  /** The name to bind to; parses the text when this connection does not have it yet. */
  nameOf(wire: Wire, text: string): string {
    const known = this.#names.get(text) ?? this.#awaiting.find(([awaited]) => awaited === text)?.[1];
    if (known !== undefined) return known;
    this.#serial += 1;
    const name = `rest_${this.#serial}`;
    this.#awaiting.push([text, name]);
    wire.parse({ name, text, types: [] });
    return name;
  }

  /** After an error the server skips to Sync: what was not confirmed by then never will be. */
  forgetAwaiting(): void {
    this.#awaiting = [];
  }
}

const preparedByWire = new WeakMap<Wire, PreparedStatements>();

/** All statements in one write, one implicit transaction that ends at Sync, one round trip. */
class Pipeline implements pg.Submittable {
  readonly #statements: readonly Statement[];
  readonly #options: PipelineOptions;
  readonly #results: Row[][];
  readonly #settle: (error: unknown, results?: Row[][]) => void;
  #done = 0;
  #prepared: PreparedStatements | undefined;
  #refusal: { readonly error: unknown } | undefined;
  #synced = false;
  #wire: Wire | undefined;

  constructor(
    statements: readonly Statement[],
    options: PipelineOptions,
    settle: (error: unknown, results?: Row[][]) => void,
  ) {
    this.#statements = statements;
    this.#options = options;
    this.#results = statements.map(() => []);
    this.#settle = settle;
  }

  submit(connection: pg.Connection): void {
    // see Wire: the object is the same, only its types are older
    const wire = connection as unknown as Wire;
    const prepared = preparedByWire.get(wire) ?? new PreparedStatements(wire);
    preparedByWire.set(wire, prepared);
    this.#prepared = prepared;
    this.#wire = wire;
    wire.stream.cork();
    try {
      prepared.touch(wire, this.#statements);
      for (const { text, values } of this.#statements) {
        wire.bind({ portal: '', statement: prepared.nameOf(wire, text), values });
        wire.execute({ portal: '', rows: 0 });
      }
      if (this.#options.check) wire.flush();
      else this.#end(this.#options.rollback);
    } finally {
      wire.stream.uncork();
    }
  }

  #end(rollback: boolean): void {
    if (rollback) {
      this.#wire?.parse({ name: '', text: 'rollback', types: [] });
      this.#wire?.bind({ portal: '', statement: '', values: [] });
      this.#wire?.execute({ portal: '', rows: 0 });
    }
    this.#synced = true;
    this.#wire?.sync();
  }

  handleDataRow(message: { fields: Row }): void {
    this.#results[this.#done]?.push(message.fields);
  }

  handleCommandComplete(): void {
    this.#done += 1;
    if (this.#done !== this.#statements.length || !this.#options.check) return;
    try {
      this.#options.check(this.#results);
    } catch (error) {
      this.#refusal = { error };
    }
    this.#end(this.#options.rollback || this.#refusal !== undefined);
  }

  handleReadyForQuery(): void {
    if (this.#refusal) this.#settle(this.#refusal.error);
    else this.#settle(undefined, this.#results);
  }

  handleError(error: unknown): void {
    this.#prepared?.forgetAwaiting();
    // with a check the server waits for our Sync even after an error
    if (!this.#synced && isPgError(error)) this.#end(false);
    this.#settle(error);
  }

  handleRowDescription(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
}

/**
 * Runs the statements in one transaction and gives their rows, every value as PostgreSQL's text.
 * @throws pg.DatabaseError, DeadlineError, whatever `check` throws; nothing has been changed then
 */
export async function runPipeline(
  pool: pg.Pool,
  statements: readonly Statement[],
  options: PipelineOptions,
): Promise<Row[][]> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    return await new Promise<Row[][]>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new DeadlineError(`the database did not answer within ${deadlineMs} ms`)),
        deadlineMs,
      );
      const settle = (error: unknown, results?: Row[][]) => {
        clearTimeout(timer);
        if (results) resolve(results);
        else reject(error);
      };
      client.query(new Pipeline(statements, options, settle));
    });
  } catch (error) {
    broken = brokenBy(error);
    throw error;
  } finally {
    // with an error the pool closes the connection instead of lending it again
    client.release(broken);
  }
}

/** Whether the connection may be used again: after an error of a statement yes, after anything else no. */
function brokenBy(error: unknown): Error | undefined {
  if (isPgError(error)) return error.severity === 'FATAL' ? new Error(error.message) : undefined;
  if (error instanceof DeadlineError) return error;
  return error instanceof RestError ? undefined : new Error('connection lost');
}
