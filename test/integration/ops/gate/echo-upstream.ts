import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

/** What LiveKit would have seen of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingMessage['headers'];
  body: string;
}

export interface EchoUpstream extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly seen: SeenRequest[];
  /** Sockets of the sessions that were begun, in order. */
  readonly sockets: Duplex[];
  /** Answers HTTP requests; an echo of the body unless it is set. */
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  /** Takes over upgrades on the bare socket; a WebSocket that sends back every frame unless it is set. */
  upgrade: ((request: IncomingMessage, socket: Socket, head: Buffer) => void) | undefined;
}

/** In LiveKit's place: it writes down what comes through and sends it back. */
export async function startEchoUpstream(): Promise<EchoUpstream> {
  const server = createServer();
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  const seen: SeenRequest[] = [];
  const sockets: Duplex[] = [];
  const note = (request: IncomingMessage): SeenRequest => {
    const { method = '', url: target = '', headers } = request;
    const entry = { method, target, headers, body: '' };
    seen.push(entry);
    return entry;
  };
  const upstream: EchoUpstream = {
    url: '',
    port: 0,
    seen,
    sockets,
    answer: (_request, response, body) => response.writeHead(200, { 'content-type': 'text/plain' }).end(body),
    upgrade: undefined,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      webSockets.close();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('request', async (request, response) => {
    const entry = note(request);
    request.setEncoding('latin1');
    try {
      for await (const chunk of request) entry.body += chunk;
    } catch {
      return; // the gate broke it off
    }
    upstream.answer(request, response, entry.body);
  });
  server.on('upgrade', (request, socket, head) => {
    note(request);
    sockets.push(socket);
    socket.on('error', () => {});
    if (upstream.upgrade !== undefined) {
      // an HTTP server's sockets are those of `net`
      upstream.upgrade(request, socket as Socket, head);
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('message', (data, binary) => webSocket.send(data, { binary }));
      webSocket.on('error', () => {});
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // listening on TCP
  return Object.assign(upstream, { port, url: `ws://127.0.0.1:${port}` });
}
