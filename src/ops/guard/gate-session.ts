import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Both ends of an open session, tied together. */
export interface Session {
  /** Sends what is under way to the client, then closes both sides. Idempotent. */
  end(): void;
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>;
}

/** How long a side that is being ended may take to read what is left for it. */
const flushMs = 1_000;

/**
 * Ties two sockets: bytes go both ways in order and no faster than the other side reads; the end of one direction
 * ends that direction on the other side; a reset becomes a reset. What either side holds in memory is bounded by the
 * streams' own high-water marks.
 *
 * @param early bytes that each side has sent already and that the other must get first
 */
export function tieSockets(
  client: Socket,
  upstream: Socket,
  early: { readonly fromClient: Buffer; readonly fromUpstream: Buffer },
  halfOpenMs: number,
): Session {
  for (const socket of [client, upstream]) {
    socket.setNoDelay(true);
    // a peer that vanished without a word is found out after some 40 s
    socket.setKeepAlive(true, 30_000);
    // what went wrong is known from `close`
    socket.on('error', () => {});
  }
  if (early.fromUpstream.length > 0) client.write(early.fromUpstream);
  if (early.fromClient.length > 0) upstream.write(early.fromClient);
  const closed = Promise.all([carry(client, upstream, halfOpenMs), carry(upstream, client, halfOpenMs)]);
  return {
    end() {
      upstream.destroy();
      flushAndDestroy(client);
    },
    closed: closed.then(() => {}),
  };
}

/** One direction. Resolves when `from` is closed. */
function carry(from: Socket, to: Socket, halfOpenMs: number): Promise<void> {
  return new Promise((resolve) => {
    let halfOpen: NodeJS.Timeout | undefined;
    let ended = false;
    from.once('end', () => {
      ended = true;
      // `pipe` ends the other side; that one then has its time to do the same
      halfOpen = setTimeout(() => {
        from.destroy();
        to.destroy();
      }, halfOpenMs);
    });
    from.once('close', () => {
      clearTimeout(halfOpen);
      // all it said was passed on: the other side may read that to its end, and has nobody to talk to any more
      if (ended) flushAndDestroy(to);
      else resetSocket(to);
      resolve();
    });
    from.pipe(to);
  });
}

function flushAndDestroy(socket: Socket): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), flushMs);
  socket.once('close', () => clearTimeout(timer));
  // read to its end, lest bytes that nobody takes turn the close into a reset that overtakes the last words
  socket.unpipe();
  socket.once('end', () => socket.destroySoon());
  socket.resume();
  socket.end();
}

/** Closes a connection as one that broke. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // only a bare TCP socket can be reset
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}
