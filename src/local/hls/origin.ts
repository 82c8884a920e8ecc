import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sleep } from '../../kernel/clock.ts';
import { FaultSwitches, type HlsFault, type HlsFaultKind } from './faults.ts';
import { healthyShape, masterPlaylist, mediaPlaylist, type PlaylistShape } from './playlist.ts';
import { type RenditionName, renditionNames } from './renditions.ts';
import { loadSegmentMedia, peakBitsPerS, type SegmentMedia } from './segment-media.ts';
import { isAvailable, type LiveWindow, liveWindow, loopSegments, segmentS, windowFrom } from './timeline.ts';

export interface HlsOriginOptions {
  readonly host: '127.0.0.1';
  /** 0: any. */
  readonly port: number;
  readonly mediaDir: string;
  /** When the stream began, milliseconds since the epoch; kept over restarts, so that sequence numbers go on. */
  readonly epochMs: number;
  /** Bit rates to pad the renditions to, or null for the segments as they are. */
  readonly bitsPerS: Readonly<Record<RenditionName, number>> | null;
}

export interface HlsOriginStats {
  readonly requests: number;
  readonly playlists: number;
  readonly segments: number;
  readonly errors: number;
  readonly bytes: number;
}

export interface HlsOrigin {
  /** Of the master playlist. */
  readonly url: string;
  readonly port: number;
  inject(fault: HlsFault): void;
  clear(kind?: HlsFaultKind): void;
  stats(): HlsOriginStats;
  /** Idempotent; lets answers in flight end for a second. */
  stop(): Promise<void>;
}

/** Path of the live stream's master playlist. */
const masterPath = '/live/master.m3u8';

/** Playlists may be cached for half a target duration at most (HLS-011). */
const playlistCacheControl = `public, max-age=${segmentS / 2}`;

/** A segment never changes under its URI. */
const segmentCacheControl = 'public, max-age=31536000, immutable';

/** Answers in flight get this long at a stop; then their connections are cut. */
const drainMs = 1000;

const maxUrlLength = 1024;

/** Serves the looped live stream until stopped. @throws when the media cannot be read or the port is taken */
export async function startHlsOrigin(options: HlsOriginOptions): Promise<HlsOrigin> {
  const media = await loadSegmentMedia(options.mediaDir, options.bitsPerS);
  const state = new OriginState(options.epochMs, media);
  const server = createServer((request, response) => {
    void state.answer(request, response).catch(() => response.destroy());
  });
  // viewers reload every target duration: a shorter keep-alive would make each of them dial every time
  server.keepAliveTimeout = 3 * segmentS * 1000;
  server.listen(options.port, options.host);
  await once(server, 'listening');
  // an address of a listening TCP server is never a string or null
  const { port } = server.address() as AddressInfo;
  let stopped: Promise<void> | undefined;
  return {
    url: `http://${options.host}:${port}${masterPath}`,
    port,
    inject: (fault) => state.faults.inject(fault, Date.now()),
    clear: (kind) => state.faults.clear(kind),
    stats: () => ({ ...state.counts }),
    stop: () => {
      stopped ??= stopServer(server);
      return stopped;
    },
  };
}

async function stopServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearTimeout(cut);
}

interface Body {
  readonly of: 'playlist' | 'segment';
  readonly bytes: Buffer;
  readonly gzipped: Buffer | undefined;
  readonly etag: string;
  readonly contentType: string;
  readonly cacheControl: string;
}

class OriginState {
  readonly faults = new FaultSwitches();
  readonly counts = { requests: 0, playlists: 0, segments: 0, errors: 0, bytes: 0 };
  readonly #epochMs: number;
  readonly #segments: Readonly<Record<RenditionName, readonly Body[]>>;
  readonly #master: Body;
  /** The newest healthy media playlist: renditions share sequence numbers and names, and thus the text. */
  #newest: { first: number; body: Body } | undefined;
  #playlistAnswers = 0;

  constructor(epochMs: number, media: SegmentMedia) {
    this.#epochMs = epochMs;
    this.#segments = { low: media.low.map(segmentBody), high: media.high.map(segmentBody) };
    this.#master = playlistBody(
      masterPlaylist({ low: peakBitsPerS(media.low), high: peakBitsPerS(media.high) }),
    );
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.counts.requests++;
    response.on('error', () => {});
    setCors(response);
    const url = request.url ?? '/';
    if (request.method === 'OPTIONS') return endWith(response, 204, '');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD, OPTIONS');
      return this.#fail(response, 405, 'only GET and HEAD are served here');
    }
    if (url.length > maxUrlLength) return this.#fail(response, 414, 'the URL is too long');
    const path = url.split('?', 1)[0] ?? '/';
    if (path === '/health') return endWith(response, 200, 'OK\n');
    const body = this.#find(path);
    if (body === undefined) return this.#fail(response, 404, `nothing at ${path}`);
    await this.#serve(request, response, body);
  }

  #find(path: string): Body | undefined {
    if (path === masterPath) return this.#master;
    const [, name, file] = /^\/live\/([a-z]+)\/([^/]+)$/.exec(path) ?? [];
    const rendition = renditionNames.find((one) => one === name);
    if (rendition === undefined || file === undefined) return undefined;
    if (file === 'playlist.m3u8') return this.#mediaPlaylist();
    const sequence = /^(\d{1,12})\.ts$/.exec(file)?.[1];
    return sequence === undefined ? undefined : this.#segment(rendition, Number(sequence));
  }

  #mediaPlaylist(): Body {
    const window = this.#windowOfPlaylist();
    const shape = this.#shape();
    const truncated = this.faults.get('truncated-playlist') !== undefined;
    if (shape === healthyShape && !truncated && this.#newest?.first === window.first)
      return this.#newest.body;
    const text = mediaPlaylist(this.#epochMs, window, shape);
    // a cut three bytes before the end leaves the last URI without its ".ts" and newline
    const body = playlistBody(truncated ? text.slice(0, -4) : text);
    if (shape === healthyShape && !truncated) this.#newest = { first: window.first, body };
    return body;
  }

  #windowOfPlaylist(): LiveWindow {
    const frozenAt = this.faults.sinceMs('freeze-playlist');
    const window = liveWindow(this.#epochMs, frozenAt ?? Date.now());
    const regress = this.faults.get('regress-sequence');
    this.#playlistAnswers++;
    if (regress === undefined || this.#playlistAnswers % 2 === 0) return window;
    return windowFrom(Math.max(0, window.first - regress.segments));
  }

  #shape(): PlaylistShape {
    const targetDurationS = this.faults.get('target-duration')?.seconds;
    const lastSegmentS = this.faults.get('over-long-segment')?.seconds;
    const dropped = this.faults.get('drop-discontinuity') !== undefined;
    if (targetDurationS === undefined && lastSegmentS === undefined && !dropped) return healthyShape;
    return {
      targetDurationS: targetDurationS ?? healthyShape.targetDurationS,
      lastSegmentS: lastSegmentS ?? healthyShape.lastSegmentS,
      withDiscontinuityTags: !dropped,
    };
  }

  #segment(rendition: RenditionName, sequence: number): Body | undefined {
    if (!isAvailable(liveWindow(this.#epochMs, Date.now()), sequence)) return undefined;
    const missing = this.faults.get('missing-segment');
    if (missing !== undefined && sequence % missing.nth === 0) return undefined;
    return this.#segments[rendition][sequence % loopSegments];
  }

  async #serve(request: IncomingMessage, response: ServerResponse, body: Body): Promise<void> {
    const delayMs = this.faults.delayMs(body.of);
    if (delayMs > 0) await sleep(delayMs);
    const errorStatus = this.faults.errorStatus(body.of);
    if (errorStatus !== undefined) return this.#fail(response, errorStatus, 'injected fault');
    if (body.of === 'playlist') this.counts.playlists++;
    else this.counts.segments++;
    const wrongType = this.faults.get('wrong-content-type') !== undefined;
    response.setHeader('content-type', wrongType ? 'text/plain' : body.contentType);
    response.setHeader('cache-control', body.cacheControl);
    response.setHeader('etag', body.etag);
    if (body.gzipped !== undefined) response.setHeader('vary', 'accept-encoding');
    if (matchesEtag(request.headers['if-none-match'], body.etag)) {
      response.statusCode = 304;
      response.end();
      return;
    }
    if (body.of === 'segment') this.#sendSegment(request, response, body);
    else this.#sendPlaylist(request, response, body);
  }

  #sendPlaylist(request: IncomingMessage, response: ServerResponse, body: Body): void {
    const gzip =
      body.gzipped !== undefined && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
    if (gzip) response.setHeader('content-encoding', 'gzip');
    this.#send(request, response, gzip && body.gzipped ? body.gzipped : body.bytes);
  }

  #sendSegment(request: IncomingMessage, response: ServerResponse, { bytes }: Body): void {
    response.setHeader('accept-ranges', 'bytes');
    const range = readRange(request.headers.range, bytes.length);
    if (range === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${bytes.length}`);
      this.#fail(response, 416, 'no such range');
    } else if (range !== undefined) {
      response.statusCode = 206;
      response.setHeader('content-range', `bytes ${range.start}-${range.end}/${bytes.length}`);
      this.#send(request, response, bytes.subarray(range.start, range.end + 1));
    } else if (this.faults.get('short-segment') !== undefined && request.method === 'GET') {
      response.setHeader('content-length', bytes.length);
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
    } else {
      this.#send(request, response, bytes);
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
    response.setHeader('content-length', bytes.length);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    this.counts.bytes += bytes.length;
    response.end(bytes);
  }

  #fail(response: ServerResponse, status: number, text: string): void {
    this.counts.errors++;
    // a segment that is not there yet will be: nobody may remember its absence
    response.setHeader('cache-control', 'no-store');
    endWith(response, status, `${text}\n`);
  }
}

function segmentBody(bytes: Buffer): Body {
  return {
    of: 'segment',
    bytes,
    gzipped: undefined,
    etag: etagOf(bytes),
    contentType: 'video/mp2t',
    cacheControl: segmentCacheControl,
  };
}

function playlistBody(text: string): Body {
  const bytes = Buffer.from(text);
  return {
    of: 'playlist',
    bytes,
    gzipped: gzipSync(bytes),
    etag: etagOf(bytes),
    contentType: 'application/vnd.apple.mpegurl',
    cacheControl: playlistCacheControl,
  };
}

/** Weak: the same tag stands for the plain and the gzipped form. */
function etagOf(bytes: Buffer): string {
  return `W/"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
}

function matchesEtag(header: string | undefined, etag: string): boolean {
  return header !== undefined && (header === '*' || header.split(',').some((one) => one.trim() === etag));
}

function setCors(response: ServerResponse): void {
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-allow-methods', 'GET, HEAD, OPTIONS');
  // CMCD: players tell the delivery network about themselves in these
  response.setHeader(
    'access-control-allow-headers',
    'range, if-none-match, cmcd-object, cmcd-request, cmcd-session, cmcd-status',
  );
  response.setHeader('access-control-expose-headers', 'content-length, content-range, date, etag');
  response.setHeader('access-control-max-age', '86400');
}

function endWith(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  if (text !== '') response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(text);
}

/** One range of bytes, both ends included; several ranges or another unit are answered in full, as RFC 9110 allows. */
function readRange(
  header: string | undefined,
  length: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined;
  const start = from === '' ? Math.max(0, length - Number(to)) : Number(from);
  const end = from === '' || to === '' ? length - 1 : Math.min(Number(to), length - 1);
  return start > end || start >= length ? 'unsatisfiable' : { start, end };
}
