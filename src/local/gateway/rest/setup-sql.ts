import type { RestInput } from './api-request.ts';
import type { Catalogue } from './catalogue.ts';
import type { Statement } from './pipeline.ts';
import { exposedSchemas } from './schema-cache.ts';
import { quoteName } from './sql-text.ts';

const searchPath = [...exposedSchemas, 'extensions'].map(quoteName).join(', ');

const setupSql = `SELECT set_config('search_path', $1, true), set_config('role', $2, true), \
set_config('request.jwt.claims', $3, true), set_config('request.method', $4, true), \
set_config('request.path', $5, true), set_config('request.headers', $6, true), \
set_config('request.cookies', $7, true), set_config('statement_timeout', $8, true), \
set_config('transaction_read_only', $9, true)`;

/**
 * The first statement of every request's transaction: who asks, and what PostgreSQL may look at of the request.
 * Settings of a role do not apply by switching to it, so its statement timeout is set here, as PostgREST does;
 * roles without one keep that of the login role.
 */
export function setupStatement(input: RestInput, catalogue: Catalogue, readOnly: boolean): Statement {
  const { role } = input.claims;
  const timeouts = catalogue.statementTimeouts;
  return {
    text: setupSql,
    values: [
      searchPath,
      role,
      JSON.stringify(input.claims),
      input.method,
      `/${input.path}`,
      JSON.stringify(input.headers),
      JSON.stringify(cookiesOf(input.headers.cookie)),
      timeouts.get(role) ?? timeouts.get('authenticator') ?? '0',
      readOnly ? 'on' : 'off',
    ],
  };
}

function cookiesOf(header: string | undefined): Record<string, string> {
  const pairs = (header ?? '').split(';').map((part) => part.trim().split('='));
  return Object.fromEntries(
    pairs.filter(([name]) => name).map(([name, ...value]) => [name, value.join('=')]),
  );
}
