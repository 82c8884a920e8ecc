import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import type { ListenAddress } from '../../kernel/listen-address.ts';

/** `GET /metrics` → what answers it. */
export type DeskRoutes = Readonly<
  Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void> | void>
>;

/** Prometheus and LiveKit are a handful of connections; anything beyond this is not for us. */
const connectionsLimit = 512;
/** A client that has not sent its headers by then is none. */
const headersMs = 10_000;

/** The small HTTP side of a guard: metrics, health, webhooks. Loopback or a private network: nothing here asks who is there. */
export class GuardDesk {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** @throws TF-GRD-001 when the address cannot be had */
  static async open(address: ListenAddress, routes: DeskRoutes): Promise<GuardDesk> {
    const server = createServer({ headersTimeout: headersMs }, (request, response) => {
      void answer(routes, request, response);
    });
    server.maxConnections = connectionsLimit;
    server.listen(address.port, address.host);
    try {
      await once(server, 'listening');
    } catch (error) {
      throw cannotListen(address, error);
    }
    const { port } = server.address() as AddressInfo; // a listening TCP server has such an address
    return new GuardDesk(server, `http://${urlHost(address.host)}:${port}`);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** What a port that cannot be had means to whoever asked for it. */
export function cannotListen({ host, port }: ListenAddress, error: unknown): TrollfixError {
  return new TrollfixError('TF-GRD-001', `cannot listen on ${host}:${port}: ${messageOf(error)}`, {
    hint: 'another guard may run there already: give this one a free port, or port 0 for any',
    cause: error,
  });
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

async function answer(routes: DeskRoutes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?', 1);
  const route = routes[`${request.method} ${path}`];
  if (route === undefined) {
    request.resume();
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
    return;
  }
  try {
    await route(request, response);
  } catch (error) {
    if (!response.headersSent) response.writeHead(500);
    response.end(`${messageOf(error)}\n`);
  }
}
