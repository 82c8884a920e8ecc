import type { Socket } from 'node:net';

/** What a socket may have unread before it is cut: 4 MB is 40 000 small broadcasts, seconds behind everybody else. */
const unreadBytesMax = 4 * 1024 * 1024;
/** Below this, copying the frames of a tick together is cheaper than a writev of many (measured at 100-byte frames). */
const concatBytesMax = 64 * 1024;

/** The frames one socket gets, written once per turn of the event loop. */
export class OutboxSocket {
  readonly socket: Socket;
  readonly #outbox: Outbox;
  readonly #onSlow: () => void;
  #frames: Buffer[] = [];
  #bytes = 0;
  #cut = false;

  constructor(outbox: Outbox, socket: Socket, onSlow: () => void) {
    this.#outbox = outbox;
    this.socket = socket;
    this.#onSlow = onSlow;
  }

  send(frame: Buffer): void {
    if (this.#cut) return;
    if (this.#frames.length === 0) this.#outbox.schedule(this);
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** Writes what is waiting; a reader that is too far behind is cut instead. */
  flush(): void {
    const frames = this.#frames;
    const bytes = this.#bytes;
    this.#frames = [];
    this.#bytes = 0;
    if (frames.length === 0 || this.#cut || this.socket.destroyed || !this.socket.writable) return;
    if (this.socket.writableLength > unreadBytesMax) {
      this.#cut = true;
      this.#onSlow();
      return;
    }
    if (frames.length === 1) {
      this.socket.write(frames[0] as Buffer); // there is exactly one
    } else if (bytes <= concatBytesMax) {
      this.socket.write(Buffer.concat(frames, bytes));
    } else {
      this.socket.cork();
      for (const frame of frames) this.socket.write(frame);
      this.socket.uncork();
    }
  }
}

/**
 * Collects the sockets that have frames waiting and flushes them after the current poll phase, so that all
 * messages that arrived together leave in one write per receiver.
 */
export class Outbox {
  #waiting: OutboxSocket[] = [];

  schedule(socket: OutboxSocket): void {
    if (this.#waiting.length === 0) setImmediate(() => this.flush());
    this.#waiting.push(socket);
  }

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const socket of waiting) socket.flush();
  }
}
