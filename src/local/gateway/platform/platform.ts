import pg from 'pg';
import { authSql } from './auth.sql.ts';
import { realtimePlatformSql } from './realtime.sql.ts';
import { rolesSql, schemaWatchSql } from './roles.sql.ts';

/**
 * What hosted Supabase gives every project before the first migration: roles, schemas, grants, `auth`,
 * `realtime`, the publication. Each statement list is idempotent and is run as `supabase_admin`, in this
 * order, at every start of the stack, each text as one simple query.
 *
 * The passwords go into the text as escaped literals: `ALTER ROLE` takes no parameters.
 */
export function platformStatements(options: {
  authenticatorPassword: string;
  postgresPassword: string;
}): string[] {
  return [
    rolesSql,
    authSql,
    realtimePlatformSql,
    schemaWatchSql,
    `alter role authenticator password ${pg.escapeLiteral(options.authenticatorPassword)}`,
    `alter role postgres password ${pg.escapeLiteral(options.postgresPassword)}`,
  ];
}
