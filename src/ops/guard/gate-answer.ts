import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** A client that does not read its refusal is not waited for any longer. */
const lingerMs = 2_000;

/** As LiveKit refuses: a status and one line of text, readable from a page of any origin. */
const headers = {
  'content-type': 'text/plain; charset=utf-8',
  'access-control-allow-origin': '*',
} as const;

/** Answers a request that is not passed on and ends its connection when its body was not read. */
export function answerRequest(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { req: request } = response;
  const { 'transfer-encoding': coding, 'content-length': length } = request.headers;
  // what is left of a body would be read as the next request
  const unread = !request.complete && (coding !== undefined || Number(length ?? 0) > 0);
  response.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(message),
    ...(unread ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : message);
  if (unread) request.resume();
}

/** Answers on a bare socket (an upgrade, a request that could not be read) and closes it. */
export function answerSocket(socket: Duplex, status: number, message: string): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(message)}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${message}`);
  // closed with bytes unread, the kernel would reset the connection and the answer could be lost
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}
