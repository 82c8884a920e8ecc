import type { IncomingHttpHeaders } from 'node:http';
import type pg from 'pg';

export interface AuthInput {
  readonly method: string;
  /** After `/auth/v1`, with its slash. */
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly token: string | undefined;
}

export interface AuthAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined: no body. */
  readonly body: unknown;
}

/** Work inside one transaction as `supabase_auth_admin`. */
export type AuthTransaction = <T>(work: (client: pg.ClientBase) => Promise<T>) => Promise<T>;

export function ok(body: unknown): AuthAnswer {
  return { status: 200, headers: {}, body };
}
