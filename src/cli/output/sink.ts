import type { Writable } from 'node:stream';

/** What a stream of the process looks like to the CLI: a terminal, a pipe or a file. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

// What a terminal is taken for that does not say how wide it is, and how wide text is set in a file.
const defaultColumns = 100;

/**
 * One output stream. When the reader goes away (`| head -1`) what is written after is dropped in silence and
 * `onClosed` is told once: it is not an error of ours.
 */
export class Sink {
  readonly isTty: boolean;
  readonly #stream: OutputStream;
  #closed = false;
  #pending = 0;
  #idle: (() => void) | undefined;

  constructor(stream: OutputStream, onClosed: () => void) {
    this.#stream = stream;
    this.isTty = stream.isTTY === true;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#closed) return;
      this.#closed = true;
      this.#pending = 0;
      this.#idle?.();
      // anything but a reader that went away (a full disk, say) cannot be told on the stream that broke either
      if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') onClosed();
    });
  }

  get columns(): number {
    const columns = this.#stream.columns;
    return columns !== undefined && columns > 0 ? columns : defaultColumns;
  }

  write(text: string): void {
    if (this.#closed || text === '') return;
    this.#pending += 1;
    this.#stream.write(text, () => {
      this.#pending -= 1;
      if (this.#pending <= 0) this.#idle?.();
    });
  }

  /** Resolves when everything has left the process, at most `ms` later: a reader that stopped reading holds nobody up. */
  flushed(ms = 5_000): Promise<void> {
    if (this.#closed || this.#pending <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
