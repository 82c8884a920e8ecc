import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** The only address the stack listens on. */
export const loopback = '127.0.0.1' as const;

/**
 * A TCP port of 127.0.0.1 that was free a moment ago, for servers that cannot say which port they took themselves.
 * Somebody else may take it before they do: callers try again with another.
 */
export async function freeTcpPort(): Promise<number> {
  const server = createServer();
  server.listen(0, loopback);
  await once(server, 'listening');
  // an address of a listening TCP server is never a string or null
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The same for UDP. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, loopback);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** A port that is kept from everybody else until it is given free. */
export interface HeldPort {
  readonly port: number;
  /** Idempotent. */
  release(): Promise<void>;
}

/** Takes a TCP port of 127.0.0.1 for a server that starts later, but has to be known by name now. */
export async function holdTcpPort(): Promise<HeldPort> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, loopback);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // as above
  return {
    port,
    async release() {
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
