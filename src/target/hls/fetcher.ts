import { type Dispatcher, Pool } from 'undici';
import { messageOf } from '../../kernel/errors.ts';
import type { Headers } from './cache-status.ts';

export interface Fetched {
  /** 0 when there was no complete answer. */
  readonly status: number;
  readonly bytes: number;
  /** The body when it was asked to be kept, otherwise empty. */
  readonly text: string;
  readonly headers: Headers;
  /** performance.now() of the first byte of the body; 0 without one. */
  readonly firstByteMs: number;
  /** Bytes announced by Content-Length, when it was. */
  readonly announcedBytes: number | undefined;
  /** Why there was no complete answer. */
  readonly failure: string;
}

export interface HlsFetcherOptions {
  readonly connections: number;
  readonly timeoutMs: number;
  /** Sent with every request as `CMCD-Session` (CTA-5004, header mode: the query form would change the cache key). */
  readonly sessionId: string;
}

/** A live stream is one origin, perhaps a second for segments; more would be a redirect loop or a bug. */
const mostOrigins = 8;
/** A live playlist is some kilobytes; a VOD of many hours stays below this. */
const keptTextBytes = 4 * 1024 * 1024;

/**
 * Fetches playlists and segments for many viewers over one bounded pool per origin. Bodies of segments are counted
 * and thrown away; no stream and no promise is made per request (hls.md III.4).
 */
export class HlsFetcher {
  readonly #options: HlsFetcherOptions;
  readonly #pools = new Map<string, Pool>();

  constructor(options: HlsFetcherOptions) {
    this.#options = options;
  }

  /** @param done called exactly once, whatever happens */
  fetch(url: string, keepText: boolean, done: (fetched: Fetched) => void): void {
    const { origin, pathname, search } = new URL(url);
    const pool = this.#poolFor(origin);
    if (!pool) {
      done({ ...nothing, failure: `more than ${mostOrigins} origins in one stream` });
      return;
    }
    pool.dispatch(
      {
        method: 'GET',
        path: `${pathname}${search}`,
        headers: { 'cmcd-session': `sid="${this.#options.sessionId}"`, 'user-agent': 'trollfix' },
      },
      new FetchHandler(keepText, done),
    );
  }

  /** The same as a promise, for the few requests that are not made in masses. */
  get(url: string): Promise<Fetched> {
    return new Promise((resolve) => this.fetch(url, true, resolve));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  #poolFor(origin: string): Pool | undefined {
    const known = this.#pools.get(origin);
    if (known || this.#pools.size >= mostOrigins) return known;
    const { connections, timeoutMs } = this.#options;
    const pool = new Pool(origin, {
      connections,
      // one request per connection at a time: behind a slow segment every viewer's playlist would wait too
      pipelining: 1,
      keepAliveTimeout: 60_000,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    this.#pools.set(origin, pool);
    return pool;
  }
}

const nothing: Fetched = {
  status: 0,
  bytes: 0,
  text: '',
  headers: {},
  firstByteMs: 0,
  announcedBytes: undefined,
  failure: '',
};

class FetchHandler implements Dispatcher.DispatchHandler {
  readonly #keepText: boolean;
  readonly #done: (fetched: Fetched) => void;
  #status = 0;
  #headers: Headers = {};
  #bytes = 0;
  /** Decoded at the end: a character may be split between two chunks. */
  readonly #chunks: Buffer[] = [];
  #firstByteMs = 0;

  constructor(keepText: boolean, done: (fetched: Fetched) => void) {
    this.#keepText = keepText;
    this.#done = done;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes === 0) this.#firstByteMs = performance.now();
    this.#bytes += chunk.length;
    if (this.#keepText && this.#bytes <= keptTextBytes) this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#done(this.#fetched(this.#status, ''));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#done(this.#fetched(0, messageOf(error)));
  }

  #fetched(status: number, failure: string): Fetched {
    const length = Number(this.#headers['content-length']);
    return {
      status,
      bytes: this.#bytes,
      text: Buffer.concat(this.#chunks).toString('utf8'),
      headers: this.#headers,
      firstByteMs: this.#firstByteMs,
      announcedBytes: Number.isFinite(length) && length > 0 ? length : undefined,
      failure,
    };
  }
}
