import http from 'node:http';
import net from 'node:net';
import type { Readable } from 'node:stream';
import tls from 'node:tls';
import type { GateLimits } from './gate-limits.ts';

/** Where LiveKit is. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** For `Host`. */
  readonly authority: string;
}

/** A failure to reach LiveKit, as it is answered: 502 when there is no connection, 504 when there is no answer. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly status: 502 | 504;

  constructor(status: 502 | 504, message: string) {
    super(message);
    this.status = status;
  }
}

/** From `ws://`, `wss://`, `http://` or `https://` with nothing behind the host. @throws TypeError for another URL */
export function upstreamOf(url: string | URL): Upstream {
  const { protocol, hostname, port, host } = new URL(url);
  const secure = protocol === 'wss:' || protocol === 'https:';
  if (!secure && protocol !== 'ws:' && protocol !== 'http:')
    throw new TypeError(`not a LiveKit URL: ${protocol}`);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (secure ? 443 : 80) : Number(port),
    secure,
    authority: host,
  };
}

/**
 * Begins a request to LiveKit on a connection of its own: sharing one would let an answer reach another client when
 * one side counts differently. The request fails with an UpstreamError when LiveKit cannot be reached, or has not
 * begun to answer in time.
 * @param options.body sent as it comes; its sender is held to `requestMs` by the server. Without one the caller ends
 *   the request
 */
export function requestUpstream(
  upstream: Upstream,
  options: {
    readonly method: string;
    readonly target: string;
    readonly headers: Record<string, string>;
    readonly body?: Readable;
  },
  limits: Pick<GateLimits, 'connectMs' | 'answerMs'>,
): http.ClientRequest {
  const request = http.request({
    host: upstream.host,
    port: upstream.port,
    method: options.method,
    path: options.target,
    headers: { host: upstream.authority, connection: 'close', ...options.headers },
    // a function instead of an agent: no connection is kept
    createConnection: () => dial(upstream, limits.connectMs),
  });
  let late: NodeJS.Timeout | undefined;
  const startWaiting = () => {
    const giveUp = () => request.destroy(new UpstreamError(504, 'LiveKit does not answer'));
    late = setTimeout(giveUp, limits.connectMs + limits.answerMs);
  };
  if (options.body === undefined) startWaiting();
  // while a client still uploads, LiveKit owes no answer
  else options.body.once('end', startWaiting).pipe(request);
  const answered = () => {
    options.body?.off('end', startWaiting);
    clearTimeout(late);
  };
  request.once('response', answered).once('upgrade', answered).once('close', answered);
  return request;
}

function dial({ host, port, secure }: Upstream, connectMs: number): net.Socket {
  // half-open, so that the end of one direction can be carried over without ending the other
  const socket = secure
    ? tls.connect({ host, port, servername: net.isIP(host) === 0 ? host : '', ALPNProtocols: ['http/1.1'] })
    : net.connect({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true });
  const timer = setTimeout(() => {
    socket.destroy(new UpstreamError(502, 'LiveKit cannot be reached'));
  }, connectMs);
  const connected = () => clearTimeout(timer);
  socket.once(secure ? 'secureConnect' : 'connect', connected).once('close', connected);
  return socket;
}

/** How a failed request to LiveKit is answered. Nothing of LiveKit's own text: it may hold whole tokens. */
export function upstreamFailure(error: unknown): { readonly status: 502 | 504; readonly message: string } {
  if (error instanceof UpstreamError) return { status: error.status, message: error.message };
  return { status: 502, message: 'LiveKit cannot be reached' };
}
