import { DeadlineError } from '../../../kernel/deadline.ts';
import { messageOf } from '../../../kernel/errors.ts';
import { isObject } from '../../../kernel/json-object.ts';

/** An answer of PostgREST's error form: `{code, details, hint, message}`. Codes: https://docs.postgrest.org/en/stable/references/errors.html */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly status: number;
  readonly code: string;
  readonly details: string | null;
  readonly hint: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    more: {
      details?: string | null | undefined;
      hint?: string | null | undefined;
      headers?: Record<string, string>;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = more.details ?? null;
    this.hint = more.hint ?? null;
    this.headers = more.headers ?? {};
  }

  body(): string {
    return JSON.stringify({
      code: this.code,
      details: this.details,
      hint: this.hint,
      message: this.message,
    });
  }
}

/** PGRST100: the query string cannot be read. */
export function badQuery(message: string, details?: string): RestError {
  return new RestError(400, 'PGRST100', message, { details });
}

/** PGRST102: the body cannot be read. */
export function badBody(message: string): RestError {
  return new RestError(400, 'PGRST102', message);
}

/** The words PostgreSQL itself would use for a column that is not there. */
export function undefinedColumn(table: string, column: string): RestError {
  return new RestError(400, '42703', `column ${table}.${column} does not exist`);
}

/** The fields of an error PostgreSQL answered with, as node-postgres gives them. */
interface PgErrorFields {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly severity?: string;
}

/** An error PostgreSQL answered with has a SQLSTATE and a severity; Node's own errors have codes like ECONNRESET and no severity. */
export function isPgError(error: unknown): error is PgErrorFields {
  return (
    error instanceof Error &&
    'severity' in error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.length === 5
  );
}

/**
 * Turns whatever a query can fail with into PostgREST's answer.
 * @param anonymous whether the request ran as `anon`: a missing privilege is 401 then, else 403
 */
export function restErrorOf(error: unknown, anonymous: boolean): RestError {
  if (error instanceof RestError) return error;
  if (isPgError(error)) return fromPg(error, anonymous);
  if (error instanceof DeadlineError) {
    return new RestError(504, 'PGRST003', 'Timed out acquiring connection from connection pool.', {
      details: error.message,
    });
  }
  const message = messageOf(error);
  if (/timeout exceeded when trying to connect/.test(message)) {
    return new RestError(504, 'PGRST003', 'Timed out acquiring connection from connection pool.');
  }
  if (isConnectionTrouble(error, message)) {
    return new RestError(503, 'PGRST001', 'Database client error. Retrying the connection.', {
      details: message,
    });
  }
  throw error;
}

function isConnectionTrouble(error: unknown, message: string): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (
    (typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH)/.test(code)) ||
    /Connection terminated|connection error and is not queryable|Client was closed|Cannot use a pool after/i.test(
      message,
    )
  );
}

function fromPg(error: PgErrorFields, anonymous: boolean): RestError {
  if (error.code === 'PGRST') return fromRaise(error);
  const status = statusOfSqlState(error, anonymous);
  const headers: Record<string, string> =
    status === 401 && error.code === '42501' ? { 'WWW-Authenticate': 'Bearer' } : {};
  return new RestError(status, error.code, error.message, {
    details: error.detail,
    hint: error.hint,
    headers,
  });
}

/** `RAISE SQLSTATE 'PGRST' USING message = '{"code",…}', detail = '{"status","headers"}'` gives full control of the answer. */
function fromRaise(error: PgErrorFields): RestError {
  const malformed = new RestError(
    500,
    'PGRST121',
    `Could not parse JSON in the "RAISE SQLSTATE 'PGRST'" error`,
    { details: `Invalid JSON value for MESSAGE: '${error.message}'` },
  );
  const body = parseObject(error.message);
  const control = parseObject(error.detail ?? '');
  if (!body || !control) return malformed;
  const { code, message } = body;
  if (typeof code !== 'string' || typeof message !== 'string' || typeof control.status !== 'number') {
    return malformed;
  }
  if (control.status < 100 || control.status > 599) return malformed;
  return new RestError(control.status, code, message, {
    details: textOrNull(body.details),
    hint: textOrNull(body.hint),
    headers: stringEntries(control.headers),
  });
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Of the headers a `RAISE` asks for those that can be sent; the others are dropped. */
function stringEntries(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry) => isHeader(entry)));
}

/** Whether name and value can be sent as a header: the HTTP server throws on others. */
export function isHeader(entry: readonly [string, unknown]): entry is [string, string] {
  const [name, value] = entry;
  return /^[\w-]+$/.test(name) && typeof value === 'string' && /^[\t\x20-\x7e]*$/.test(value);
}

const statusByState: Readonly<Record<string, number>> = {
  '23503': 409,
  '23505': 409,
  '25006': 405,
  '53400': 500,
  '57P01': 503,
  '42P17': 500,
  '42883': 404,
  '42P01': 404,
  P0001: 400,
};

const statusByClass: Readonly<Record<string, number>> = {
  '08': 503,
  '0L': 403,
  '0P': 403,
  '25': 500,
  '28': 403,
  '2D': 500,
  '38': 500,
  '39': 500,
  '3B': 500,
  '40': 500,
  '53': 503,
  '54': 500,
  '55': 500,
  '57': 500,
  '58': 500,
  F0: 500,
  HV: 500,
  P0: 500,
  XX: 500,
};

/** PostgREST's table (`pgErrorStatus`), read off its source. */
function statusOfSqlState({ code, message }: PgErrorFields, anonymous: boolean): number {
  const custom = /^PT(\d{3})$/.exec(code);
  if (custom) {
    const status = Number(custom[1]);
    // HTTP knows 100 to 599 only, and an interim status would never end the answer
    return status >= 200 && status <= 599 ? status : 500;
  }
  if (code === '42501') return anonymous ? 401 : 403;
  if (code === '22023') return /^role ".*" does not exist$/.test(message) ? 401 : 400;
  // pg-safeupdate raises 21000 for a missing WHERE clause; a real cardinality violation is the query's own fault
  if (code === '21000') return /requires a WHERE clause$/.test(message) ? 400 : 500;
  return statusByState[code] ?? statusByClass[code.slice(0, 2)] ?? 400;
}
