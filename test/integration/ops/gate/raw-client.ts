import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A TCP connection that sends what no HTTP client would, and keeps what comes back. */
export interface RawClient {
  readonly socket: Socket;
  /** Everything that has come so far, byte for byte. */
  received(): string;
  send(text: string | Buffer): void;
  /** Resolves when the connection is closed, with all that came, and whether it broke. */
  readonly closed: Promise<{ readonly received: string; readonly broke: boolean }>;
}

/** @param allowHalfOpen whether this side stays open when the other ends */
export async function rawClient(
  port: number,
  first?: string,
  { allowHalfOpen = false }: { readonly allowHalfOpen?: boolean } = {},
): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen, noDelay: true });
  let received = '';
  let broke = false;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
  });
  socket.on('error', () => {
    broke = true;
  });
  const closed = closeOf(socket).then(() => ({ received, broke }));
  await once(socket, 'connect');
  if (first !== undefined) socket.write(first);
  return { socket, received: () => received, send: (text) => socket.write(text), closed };
}

/** Resolves when a socket is closed, broken or not. */
export function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Sends a request and gives all that comes until the connection is closed. */
export async function rawAnswer(port: number, request: string): Promise<string> {
  const client = await rawClient(port, request);
  return (await client.closed).received;
}

/** An upgrade as a WebSocket client sends it; `changes` replaces headers, null leaves one out. */
export function upgradeRequest(
  target: string,
  token: string | null,
  changes: Readonly<Record<string, string | null>> = {},
): string {
  const headers: Record<string, string | null> = {
    Host: 'gate',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    Authorization: token === null ? null : `Bearer ${token}`,
    ...changes,
  };
  const lines = Object.entries(headers)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}`);
  return `GET ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}
