import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TcpRelay extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection and lets nobody through until `mend`. */
  cut(): void;
  mend(): void;
  /** Passes nothing on any more, and says nothing: a cable that was pulled. New connections are frozen, too. */
  freeze(): void;
  /** What was held back goes on. */
  thaw(): void;
}

/** A wire to a server that can be cut and frozen. */
export async function startTcpRelay(to: number): Promise<TcpRelay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  let isFrozen = false;
  const server = createServer((near) => {
    near.on('error', () => {});
    if (isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(to, '127.0.0.1');
    far.on('error', () => {});
    const pair = [near, far] as const;
    pairs.add(pair);
    near.pipe(far).pipe(near);
    near.once('close', () => far.destroy());
    far.once('close', () => {
      near.destroy();
      pairs.delete(pair);
    });
    if (isFrozen) for (const socket of pair) socket.pause();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const destroyAll = () => {
    for (const [near, far] of pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port, // listening on TCP
    cut() {
      isCut = true;
      destroyAll();
    },
    mend() {
      isCut = false;
    },
    freeze() {
      isFrozen = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    thaw() {
      isFrozen = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      destroyAll();
      server.close();
      await once(server, 'close');
    },
  };
}
