import type { IncomingHttpHeaders } from 'node:http';
import type { Claims } from '../context.ts';
import { type Preferences, parsePreferences } from './preferences.ts';
import { parseQuery } from './query-string.ts';
import type { QueryTree } from './query-tree.ts';
import { badBody, RestError } from './rest-error.ts';
import { exposedSchemas } from './schema-cache.ts';

export interface RestInput {
  readonly method: string;
  /** After `/rest/v1/`, still percent-encoded. */
  readonly path: string;
  /** Raw query string without `?`. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly claims: Claims;
}

export type Accept = 'json' | 'object' | 'csv';

/** A request to `/rest/v1` with everything that can be read without the database. */
export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE';
  readonly schema: string;
  /** Name of the table or function. */
  readonly name: string;
  readonly isCall: boolean;
  readonly query: QueryTree;
  readonly preferences: Preferences;
  readonly accept: Accept;
  /** JSON text, as it came; '' when there was no body. */
  readonly body: string;
  /** Text of a body that is no JSON, for functions with one unnamed text argument. */
  readonly contentType: 'json' | 'text';
}

/**
 * @param path after `/rest/v1/`, still percent-encoded
 * @throws RestError PGRST100, 101, 102, 106, 107, 117, 122, 125
 */
export function readApiRequest(input: RestInput): ApiRequest {
  const { isCall, name } = target(input.path);
  const method = checkedMethod(input.method, isCall);
  const isRead = method === 'GET' || method === 'HEAD';
  const contentType = contentTypeOf(input.headers['content-type']);
  return {
    method,
    schema: schemaOf(input.headers, isRead),
    name,
    isCall,
    query: withRange(parseQuery(input.query, isCall && isRead), input.headers.range, isRead),
    preferences: parsePreferences(headerText(input.headers.prefer)),
    accept: acceptOf(input.headers.accept),
    body: contentType === 'form' ? formToJson(input.body) : input.body,
    contentType: contentType === 'text' ? 'text' : 'json',
  };
}

function target(path: string): { isCall: boolean; name: string } {
  let parts: string[];
  try {
    parts = path.split('/').map(decodeURIComponent);
  } catch {
    throw invalidPath();
  }
  const [first = '', second, ...more] = parts;
  if (path.includes('%00') || more.length > 0) throw invalidPath();
  if (second === undefined) return { isCall: false, name: first };
  if (first !== 'rpc' || second === '') throw invalidPath();
  return { isCall: true, name: second };
}

function invalidPath(): RestError {
  return new RestError(404, 'PGRST125', 'Invalid path specified in request URL');
}

function checkedMethod(method: string, isCall: boolean): ApiRequest['method'] {
  if (method === 'GET' || method === 'HEAD' || method === 'POST') return method;
  if (isCall && (method === 'PATCH' || method === 'DELETE' || method === 'PUT')) {
    throw new RestError(405, 'PGRST101', `Cannot use the ${method} method on RPC`);
  }
  if (method === 'PATCH' || method === 'DELETE') return method;
  throw new RestError(405, 'PGRST117', `Unsupported HTTP method: ${method}`);
}

function schemaOf(headers: IncomingHttpHeaders, isRead: boolean): string {
  const profile = headerText(isRead ? headers['accept-profile'] : headers['content-profile']);
  const [fallback = 'public'] = exposedSchemas;
  if (profile === undefined || profile === '') return fallback;
  if (exposedSchemas.includes(profile)) return profile;
  throw new RestError(406, 'PGRST106', `Invalid schema: ${profile}`, {
    hint: `Only the following schemas are exposed: ${exposedSchemas.join(', ')}`,
  });
}

function acceptOf(header: string | undefined): Accept {
  const types = (header ?? '*/*').split(',').map((part) => part.split(';')[0]?.trim().toLowerCase() ?? '');
  for (const type of types) {
    if (type === 'application/vnd.pgrst.object+json' || type === 'application/vnd.pgrst.object') {
      return 'object';
    }
    if (type === 'text/csv') return 'csv';
    if (['*/*', 'application/*', 'application/json', 'application/vnd.pgrst.array+json', ''].includes(type)) {
      return 'json';
    }
  }
  throw new RestError(406, 'PGRST107', `None of these media types are available: ${types.join(', ')}`);
}

function contentTypeOf(header: string | undefined): 'json' | 'form' | 'text' {
  const type = header?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (type === '' || type === 'application/json' || type.endsWith('+json')) return 'json';
  if (type === 'application/x-www-form-urlencoded') return 'form';
  if (type === 'text/plain') return 'text';
  throw badBody(`Content-Type not acceptable: ${type}`);
}

function formToJson(body: string): string {
  return JSON.stringify(Object.fromEntries(new URLSearchParams(body)));
}

/** `Range: 0-9` pages like limit and offset, which win when they are given too. */
function withRange(query: QueryTree, header: string | undefined, isRead: boolean): QueryTree {
  const range = isRead ? /^(?:items=)?(\d{1,15})-(\d{0,15})$/.exec(header ?? '') : null;
  const { root } = query;
  if (!range || root.limit !== undefined || root.offset > 0) return query;
  const from = Number(range[1]);
  root.offset = from;
  if (range[2] !== '') {
    const rows = Number(range[2]) - from + 1;
    if (rows < 1) {
      throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
        details: 'The lower boundary must be lower than or equal to the upper boundary in the Range header.',
      });
    }
    root.limit = rows;
  }
  return query;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
