import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { withDeadline } from '../../kernel/deadline.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { ReleaseStack } from '../../kernel/release-stack.ts';
import { AuthHandler } from './auth/auth-handler.ts';
import { KeyAuthenticator } from './authenticator.ts';
import type { QuotaProfile } from './context.ts';
import { type DemoOptions, DemoSite } from './demo-site.ts';
import { LiveKitTokenFunction } from './functions/livekit-token.ts';
import { applyCors, sendJson } from './http-exchange.ts';
import type { ApiKeys } from './keys.ts';
import { openPools } from './pools.ts';
import { createRealtime, type Realtime, type RealtimeStats } from './realtime/realtime.ts';
import { RestHandler } from './rest/rest-handler.ts';
import { SchemaCache } from './rest/schema-cache.ts';
import { Router } from './router.ts';

export interface GatewayOptions {
  readonly host: '127.0.0.1';
  /** 0 takes any free port. */
  readonly port: number;
  /** As `supabase_admin`. */
  readonly adminUrl: string;
  /** As `authenticator`. */
  readonly authenticatorUrl: string;
  readonly jwtSecret: string;
  readonly apiKeys: ApiKeys;
  /** null: the token function answers 503. */
  readonly livekit: {
    readonly url: string;
    readonly apiKey: string;
    readonly apiSecret: string;
    /** What the token function tells clients to dial: the guard's gate. `url` where it is left out. */
    readonly publicUrl?: string;
  } | null;
  readonly quota: QuotaProfile | null;
  /** The demo page under `/demo/`; none without it. */
  readonly demo?: DemoOptions | null;
  /** How long a client may take to send; the defaults are for real ones. */
  readonly clientTimeouts?: { readonly headersMs: number; readonly requestMs: number };
  readonly log: Logger;
}

export interface GatewayStats {
  readonly requests: number;
  readonly inFlight: number;
  readonly failures: number;
  readonly realtime: RealtimeStats;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  stats(): GatewayStats;
  /** Idempotent; answers what is in flight, then closes. */
  stop(): Promise<void>;
}

/** A client that has not sent its headers by then is not a client; hosted proxies give about as long. */
const headersMs = 15_000;
/** For the whole request: the largest body takes a second on a slow line. */
const requestMs = 60_000;
/** supabase-js' fetch keeps connections 4 s to minutes; the server must not close first while a request is on its way. */
const keepAliveMs = 75_000;
/** Long `in.(…)` lists make long URLs; proxies in front of hosted projects stop at about this. */
const headerBytesLimit = 32 * 1024;
/** How long requests in flight may take at a stop: within the 5 s the stack gives its gateway to end. */
const drainMs = 4000;

/** Starts the Supabase-compatible gateway on loopback. @throws when the port is taken or the database is away */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { log } = options;
  const releases = new ReleaseStack((text) => log.warn(text));
  try {
    const auth = new KeyAuthenticator(options.jwtSecret, options.apiKeys);
    const pools = releases.use('database pools', openPools(options.adminUrl, options.authenticatorUrl, log));
    const cache = releases.use('schema cache', new SchemaCache(options.adminUrl, log));
    await cache.start();
    const { adminUrl, quota } = options;
    const realtime = releases.use('realtime', createRealtime({ adminUrl, auth, quota, log }));
    await realtime.start();
    const server = await listen(options);
    const { port } = server.address() as AddressInfo; // a listening TCP server has such an address
    const url = `http://${options.host}:${port}`;
    const rest = new RestHandler(pools.authenticatorPool, cache);
    const router = new Router({
      auth,
      log,
      realtime,
      rest,
      users: new AuthHandler({ pool: pools.adminPool, auth, jwtSecret: options.jwtSecret, url, log }),
      liveKitToken: new LiveKitTokenFunction({ rest, auth, livekit: options.livekit }),
      demo: options.demo
        ? new DemoSite({ options: options.demo, anonKey: options.apiKeys.anon, auth, rest })
        : null,
    });
    const traffic = serve(server, router, realtime, log);
    releases.add('http server', () => drain(server, realtime));
    return {
      url,
      port,
      stats: () => ({ ...traffic, realtime: realtime.stats() }),
      stop: () => releases.release(),
    };
  } catch (error) {
    await releases.release();
    throw error;
  }
}

async function listen(options: GatewayOptions): Promise<Server> {
  const timeouts = options.clientTimeouts ?? { headersMs, requestMs };
  const server = createServer({
    maxHeaderSize: headerBytesLimit,
    headersTimeout: timeouts.headersMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: keepAliveMs,
    // how often the two are looked at; Node's 30 s would triple them
    connectionsCheckingInterval: timeouts.headersMs / 10,
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  return server;
}

interface Traffic {
  requests: number;
  inFlight: number;
  failures: number;
}

function serve(server: Server, router: Router, realtime: Realtime, log: Logger): Traffic {
  const traffic: Traffic = { requests: 0, inFlight: 0, failures: 0 };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    traffic.requests += 1;
    traffic.inFlight += 1;
    response.once('close', () => {
      traffic.inFlight -= 1;
    });
    // a client that goes away in the middle is no failure of ours
    request.on('error', () => {});
    response.on('error', () => {});
    if (applyCors(request, response)) return;
    router.route(request, response).catch((error: unknown) => {
      traffic.failures += 1;
      log.error('request failed', { path: request.url?.split('?')[0], error: messageOf(error) });
      sendJson(response, 500, { message: 'An unexpected error occurred' });
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    try {
      const path = request.url?.split('?')[0];
      if (path?.startsWith('/realtime/v1/')) realtime.handleUpgrade(request, socket, head);
      else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    } catch (error) {
      traffic.failures += 1;
      log.error('upgrade failed', { error: messageOf(error) });
      socket.destroy();
    }
  });
  server.on('clientError', answerClientError);
  return traffic;
}

const clientErrorAnswers: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What the HTTP parser refuses never becomes a request. */
function answerClientError(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = clientErrorAnswers[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** Realtime first: a server is closed only when its WebSockets are. */
async function drain(server: Server, realtime: Realtime): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  // clients keep connections open after their last answer: each is closed once it is idle
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  try {
    await realtime.stop();
    await withDeadline(closed, drainMs, 'the requests in flight').catch(() => server.closeAllConnections());
  } finally {
    clearInterval(sweep);
  }
}
