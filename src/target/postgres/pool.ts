import pg from 'pg';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { isLoopbackHost } from '../../kernel/loopback.ts';

export interface DatabaseOptions {
  /** Connections at most; 4 by default: a CLI command, its progress and a lock or two. */
  readonly max?: number;
  /** What `pg_stat_activity` shows. */
  readonly applicationName?: string;
  /** Aborts a statement on the server; none by default, as some commands drain for as long as they are told. */
  readonly statementTimeoutMs?: number;
}

/** A server on the same continent answers a connect in well under a second; after 10 s it is not going to. */
const connectTimeoutMs = 10_000;

/**
 * A pool for `postgres://…`. Nothing is dialled before the first query, whose error goes through `databaseError`.
 * bigint and numeric arrive as text, as node-postgres gives them.
 *
 * @throws TF-DB-001 when the URL cannot be read
 */
export function openDatabase(url: string, options: DatabaseOptions = {}): pg.Pool {
  const pool = new pg.Pool({
    ...connectionConfig(url, options),
    max: options.max ?? 4,
    // a finished command must not hang on an idle connection
    allowExitOnIdle: true,
  });
  // a connection that dies while idle leaves the pool by itself; without a listener it would take the process along
  pool.on('error', () => {});
  return pool;
}

/** The same settings for a single connection: for LISTEN, session locks and long CALLs. @throws TF-DB-001 */
export function connectionConfig(url: string, options: DatabaseOptions = {}): pg.ClientConfig {
  const host = hostOf(url);
  // a socket directory or this machine needs no TLS; anywhere else is encrypted unless the URL has its own sslmode.
  // Hosted Supabase signs with a CA of its own that no system trusts, so the chain is not checked (as libpq's `require`).
  const encrypted = host !== '' && !isLoopbackHost(host) && !/[?&]sslmode=/.test(url);
  return {
    connectionString: url,
    application_name: options.applicationName ?? 'trollfix',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    ...(options.statementTimeoutMs === undefined ? {} : { statement_timeout: options.statementTimeoutMs }),
    ...(encrypted ? { ssl: { rejectUnauthorized: false } } : {}),
  };
}

/**
 * Runs `work` on one connection of the pool; after a failure the connection is closed and not given back, as it may
 * stand in the middle of a transaction.
 * @throws what `work` throws, through {@link databaseError}
 */
export async function withConnection<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  let client: pg.PoolClient | undefined;
  let broken: Error | undefined;
  try {
    client = await pool.connect();
    return await work(client);
  } catch (error) {
    broken = databaseError(error);
    throw broken;
  } finally {
    client?.release(broken);
  }
}

function hostOf(url: string): string {
  try {
    const parsed = new URL(url);
    if (parsed.protocol !== 'postgres:' && parsed.protocol !== 'postgresql:')
      throw new TypeError(parsed.protocol);
    return parsed.hostname;
  } catch {
    // the text itself is not repeated: it may hold a password
    throw new TrollfixError('TF-DB-001', 'the database URL cannot be read', {
      hint: 'its form is postgres://user:password@host:5432/database, with special characters percent-encoded',
    });
  }
}

/** SQLSTATEs and socket errors that mean there is no server to talk to, or no longer. */
const unreachableCodes = new Set([
  ...[
    'ECONNREFUSED',
    'ECONNRESET',
    'ENOTFOUND',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'EPIPE',
  ],
  ...['57P01', '57P02', '57P03', '53300', '08000', '08001', '08003', '08004', '08006', '3D000'],
]);
const credentialCodes = new Set(['28P01', '28000']);
/** undefined table, function, column, schema, object. */
const schemaCodes = new Set(['42P01', '42883', '42703', '3F000', '42704']);

/**
 * What a failed query means to the person who ran it: TF-DB-001 unreachable, TF-DB-002 credentials refused,
 * TF-DB-003 the schema is missing or old. Anything else comes back as it is.
 */
export function databaseError(error: unknown): Error {
  if (error instanceof TrollfixError) return error;
  const code = sqlStateOf(error);
  const message = messageOf(error);
  if (credentialCodes.has(code)) {
    return new TrollfixError('TF-DB-002', `PostgreSQL refused the login: ${message}`, { cause: error });
  }
  if (schemaCodes.has(code)) {
    return new TrollfixError('TF-DB-003', `the database lacks something of the schema: ${message}`, {
      cause: error,
    });
  }
  if (/does not support SSL/.test(message)) {
    return new TrollfixError('TF-DB-001', 'the PostgreSQL server does not speak TLS', {
      hint: 'add ?sslmode=disable to the URL if the network between is trusted',
      cause: error,
    });
  }
  if (unreachableCodes.has(code) || isConnectionLoss(message)) {
    return new TrollfixError('TF-DB-001', `PostgreSQL cannot be reached: ${message}`, { cause: error });
  }
  return error instanceof Error ? error : new Error(message);
}

/** The SQLSTATE of a server error or the code of a socket error; '' where there is none. */
export function sqlStateOf(error: unknown): string {
  if (error instanceof AggregateError) return sqlStateOf(error.errors[0]);
  // `code` is where both node and node-postgres put it; anything that is not text is no code
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : '';
}

function isConnectionLoss(message: string): boolean {
  return /Connection terminated|timeout exceeded when trying to connect|Connection ended|socket hang up/i.test(
    message,
  );
}
