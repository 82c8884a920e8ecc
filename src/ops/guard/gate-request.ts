import type { IncomingMessage } from 'node:http';
import { type Refusal, refusal } from './admission.ts';

const bearerPrefix = 'Bearer ';
const tokenParameter = 'access_token';

/** What goes on to LiveKit of a client's headers; everything else, cookies and forged ingress marks too, stays here. */
const forwardedHeaders = [
  'accept',
  'access-control-request-headers',
  'access-control-request-method',
  'content-type',
  'if-match',
  'origin',
  'user-agent',
] as const;

/** Of an upgrade. Extensions and sub-protocols are agreed on between client and LiveKit: frames pass as they are. */
const webSocketHeaders = [
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
] as const;

/** Of the answer: what belongs to one connection is for each side to say on its own. */
const connectionHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A token and the query without it. */
export interface Credentials {
  readonly token: string;
  readonly query: string;
}

/**
 * The token of a request: from `Authorization: Bearer`, or the `access_token` parameter that browsers need for
 * WebSockets. More than one that differ are refused: which of them LiveKit would take is its business.
 */
export function credentialsOf(request: IncomingMessage, query: string): Credentials | Refusal {
  const parts = query === '' ? [] : query.split('&');
  const kept: string[] = [];
  const tokens = new Set<string>();
  for (const part of parts) {
    const [name = '', value = ''] = splitPair(part);
    if (decoded(name) !== tokenParameter) kept.push(part);
    else tokens.add(decoded(value) ?? '');
  }
  const authorizations = headerValues(request, 'authorization');
  for (const value of authorizations) {
    if (!value.startsWith(bearerPrefix)) {
      return refusal(401, 'bad_token', 'invalid authorization header. Must start with Bearer ');
    }
    tokens.add(value.slice(bearerPrefix.length));
  }
  tokens.delete('');
  const [token, ...others] = tokens;
  if (token === undefined) return refusal(401, 'no_token', 'no permissions to access the room');
  if (others.length > 0) return refusal(401, 'bad_token', 'more than one token was given, and they differ');
  return { token, query: kept.join('&') };
}

/** What is sent to LiveKit: exactly the token that was judged, and nothing that was not asked for. */
export function onwardHeaders(request: IncomingMessage, token: string | null): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of forwardedHeaders) copy(request, headers, name);
  if (token !== null) headers.authorization = `${bearerPrefix}${token}`;
  const via = request.headers['x-forwarded-for'];
  const peer = request.socket.remoteAddress ?? '';
  headers['x-forwarded-for'] = typeof via === 'string' ? `${via}, ${peer}` : peer;
  return headers;
}

/** The same for an upgrade to a WebSocket. */
export function upgradeHeaders(request: IncomingMessage, token: string): Record<string, string> {
  const headers = onwardHeaders(request, token);
  for (const name of webSocketHeaders) copy(request, headers, name);
  return { ...headers, connection: 'Upgrade', upgrade: 'websocket' };
}

/** Why an upgrade is none that LiveKit could take, or null when it is. */
export function upgradeFault(request: IncomingMessage): string | null {
  const { headers } = request;
  if (request.httpVersion !== '1.1') return 'a WebSocket takes HTTP/1.1';
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'the only upgrade here is to a WebSocket';
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) {
    return 'an upgrade has no body';
  }
  if (headers['sec-websocket-version'] !== '13') return 'the WebSocket version must be 13';
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    return 'the WebSocket key is missing';
  return null;
}

/** The headers of LiveKit's answer that are for the client, as name, value, name, value. */
export function answerHeaders(answer: IncomingMessage): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    const [name = '', value = ''] = answer.rawHeaders.slice(i, i + 2);
    if (!connectionHeaders.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

function copy(request: IncomingMessage, to: Record<string, string>, name: string): void {
  const value = request.headers[name];
  if (typeof value === 'string') to[name] = value;
}

/** Every value of a header as it came; `headers` keeps only the first of some. */
function headerValues(request: IncomingMessage, name: string): string[] {
  const { rawHeaders } = request;
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}

function splitPair(part: string): [string, string] {
  const mark = part.indexOf('=');
  return mark === -1 ? [part, ''] : [part.slice(0, mark), part.slice(mark + 1)];
}

/** A component of a query as LiveKit reads it; undefined when it cannot be read. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
