import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import type { Settle } from '../../engine/open-loop.ts';
import { TimeoutWheel } from '../../engine/timeout-wheel.ts';
import { cacheStatusOf } from '../../target/hls/cache-status.ts';
import type { Fetched, HlsFetcher } from '../../target/hls/fetcher.ts';
import { type MasterPlaylist, type MediaSegment, parsePlaylist } from '../../target/hls/playlist.ts';
import { lastMsn } from './playlist-rules.ts';
import { type PlaylistVersion, PlaylistWatch } from './playlist-watch.ts';
import { nextReloadMs } from './reload-pace.ts';
import { ViewerPanel } from './viewer-panel.ts';
import { Violations } from './violations.ts';

/** A reload due later than this is still a reload on time: the wheel's slot and the timer's own jitter. */
const slotMs = 2;
const tickMs = 2;
/** What became due within the last moments before the end is nobody's omission. */
const overdueMs = 50;
/** Players give up on a stream after so many loads failed in a row (hls.js's default policy retries a few times). */
const failuresToGiveUp = 3;
/** Players start this many target durations from the end (RFC 8216 §6.3.3), if the server names no HOLD-BACK. */
const startTargetDurations = 3;

const [away, joining, held, gaveUp] = [0, 1, 2, 3] as const;

export interface ViewersOptions {
  readonly masterUrl: string;
  readonly viewers: number;
  /** The first so many fetch every segment; the others the first one only (hls.md III.4: bytes of all would not fit). */
  readonly panel: number;
  readonly fetcher: HlsFetcher;
}

/**
 * Virtual viewers as rows of typed arrays: no promise, stream or timer each. A viewer is a number; its next reload
 * stands in a timer wheel.
 */
export class Viewers {
  readonly violations = new Violations();
  readonly panel: ViewerPanel;
  /** Due instant → playlist complete. */
  readonly playlistLatency = new LatencyHistogram();
  /** Request → segment complete. */
  readonly segmentLatency = new LatencyHistogram();
  readonly firstByteLatency = new LatencyHistogram();
  /** Due instant → request sent. */
  readonly reloadLag = new LatencyHistogram();
  /** How old the newest segment was when a viewer loaded the playlist. */
  readonly playlistAge = new LatencyHistogram();
  readonly counts = {
    reloadsDue: 0,
    reloadsIssued: 0,
    playlistLoads: 0,
    failedLoads: 0,
    segmentLoads: 0,
    failedSegments: 0,
    segmentBytes: 0,
    paceViolations: 0,
    sequenceRegressions: 0,
  };
  /** `playlist hit`, `segment miss` …: how often. */
  readonly cache = new Map<string, number>();
  readonly #options: ViewersOptions;
  readonly #wheel: TimeoutWheel;
  readonly #phase: Uint8Array;
  readonly #variant: Uint8Array;
  readonly #failures: Uint8Array;
  readonly #hadFailure: Uint8Array;
  readonly #version: Int32Array;
  readonly #msn: Float64Array;
  readonly #startedMs: Float64Array;
  readonly #dueMs: Float64Array;
  readonly #watches: PlaylistWatch[] = [];
  readonly #masters = new Map<string, MasterPlaylist | undefined>();
  #timer: NodeJS.Timeout | undefined;
  #pending = 0;
  #stopped = false;

  constructor(options: ViewersOptions) {
    const { viewers } = options;
    this.#options = options;
    this.panel = new ViewerPanel(Math.min(options.panel, viewers));
    this.#wheel = new TimeoutWheel(viewers, performance.now(), slotMs);
    this.#phase = new Uint8Array(viewers);
    this.#variant = new Uint8Array(viewers);
    this.#failures = new Uint8Array(viewers);
    this.#hadFailure = new Uint8Array(viewers);
    this.#version = new Int32Array(viewers).fill(-1);
    this.#msn = new Float64Array(viewers).fill(-1);
    this.#startedMs = new Float64Array(viewers);
    this.#dueMs = new Float64Array(viewers);
  }

  start(): void {
    const tick = () => {
      this.#wheel.advance(performance.now(), (viewer) => this.#reload(viewer));
      if (!this.#stopped) this.#timer = setTimeout(tick, tickMs);
    };
    tick();
  }

  /** No further reloads; requests under way go on. Reloads that were due and not made are counted as due. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#wheel.advance(performance.now() - overdueMs, () => {
      this.counts.reloadsDue++;
    });
  }

  get pending(): number {
    return this.#pending;
  }

  get parses(): number {
    return this.#watches.reduce((sum, watch) => sum + watch.parses, 0);
  }

  get renditions(): number {
    return this.#watches.length;
  }

  get joined(): number {
    return this.#phase.reduce((sum, phase) => sum + (phase === held || phase === gaveUp ? 1 : 0), 0);
  }

  /** Viewers that are playing and for whom no load failed. */
  get held(): number {
    let count = 0;
    this.#phase.forEach((phase, viewer) => {
      if (phase === held && this.#hadFailure[viewer] === 0) count++;
    });
    return count;
  }

  get gaveUp(): number {
    return this.#phase.reduce((sum, phase) => sum + (phase === gaveUp ? 1 : 0), 0);
  }

  /** Master playlist → a rendition → its first segment; `settle` says when the first picture could be shown. */
  join(viewer: number, token: number, settle: Settle): void {
    this.#phase[viewer] = joining;
    this.#startedMs[viewer] = performance.now();
    this.#fetch(this.#options.masterUrl, true, (fetched) => {
      const failed = failureOf(fetched);
      if (failed) return void settle(token, 'error', `master playlist: ${failed}`);
      const master = this.#masterOf(fetched.text);
      const url = master?.variants[viewer % master.variants.length]?.url ?? this.#options.masterUrl;
      this.#variant[viewer] = this.#watchOf(url);
      if (master) return this.#load(viewer, performance.now(), { token, settle });
      // HLS_URL names a media playlist: it has just been loaded
      this.#loaded(viewer, fetched, performance.now(), { token, settle });
    });
  }

  #reload(viewer: number): void {
    if (this.#stopped) return;
    const now = performance.now();
    const dueMs = this.#dueMs[viewer]!;
    this.counts.reloadsDue++;
    this.counts.reloadsIssued++;
    this.reloadLag.recordMs(now - dueMs);
    if (now < dueMs) this.counts.paceViolations++;
    this.#load(viewer, dueMs, undefined);
  }

  #load(viewer: number, dueMs: number, start: Start | undefined): void {
    this.#startedMs[viewer] = performance.now();
    this.#fetch(this.#watch(viewer).url, true, (fetched) => this.#loaded(viewer, fetched, dueMs, start));
  }

  #loaded(viewer: number, fetched: Fetched, dueMs: number, start: Start | undefined): void {
    const now = performance.now();
    const startedMs = this.#startedMs[viewer]!;
    this.counts.playlistLoads++;
    this.playlistLatency.recordMs(now - dueMs);
    this.#noteCache('playlist', fetched);
    const failed = failureOf(fetched);
    const watch = this.#watch(viewer);
    const version = failed ? undefined : watch.observe(fetched.text, fetched.headers, startedMs, now);
    if (!version) {
      this.#failed(viewer, failed ?? 'not a playlist', start);
      return;
    }
    this.#failures[viewer] = 0;
    this.playlistAge.recordMs(watch.ageMs(now));
    const changed = this.#version[viewer] !== version.id;
    this.#version[viewer] = version.id;
    this.#takeSegments(viewer, version, start);
    const { targetDurationS, endList } = version.playlist;
    this.#schedule(viewer, nextReloadMs({ startedMs, changed, targetDurationS, endList }));
  }

  #failed(viewer: number, why: string, start: Start | undefined): void {
    this.counts.failedLoads++;
    this.#hadFailure[viewer] = 1;
    this.violations.add({ rule: 'HLS-008', text: `playlist: ${why}` });
    if (start) {
      this.#phase[viewer] = away;
      start.settle(start.token, 'error', `media playlist: ${why}`);
      return;
    }
    this.#failures[viewer]!++;
    if (this.#failures[viewer]! >= failuresToGiveUp) {
      this.#phase[viewer] = gaveUp;
      return;
    }
    // the target duration of a playlist that cannot be read is not known: a second is the shortest there is
    const startedMs = this.#startedMs[viewer]!;
    this.#schedule(viewer, nextReloadMs({ startedMs, changed: false, targetDurationS: 2, endList: false }));
  }

  #schedule(viewer: number, dueMs: number | undefined): void {
    if (dueMs === undefined || this.#stopped) return;
    // an answer that took longer than the wait makes the reload due at once
    this.#dueMs[viewer] = Math.max(dueMs, performance.now());
    this.#wheel.set(viewer, this.#dueMs[viewer]!);
  }

  #takeSegments(viewer: number, { playlist }: PlaylistVersion, start: Start | undefined): void {
    const edge = lastMsn(playlist);
    const known = this.#msn[viewer]!;
    if (known >= 0 && edge < known) this.counts.sequenceRegressions++;
    const from = known < 0 ? startMsn(playlist) : known + 1;
    const wanted = playlist.segments.filter((segment) => segment.msn >= from);
    this.#msn[viewer] = Math.max(known, edge);
    const [first, ...others] = wanted;
    if (start) {
      if (first) this.#segment(viewer, first, start);
      else start.settle(start.token, 'error', 'media playlist: no segment listed');
    } else if (first && this.panel.includes(viewer)) this.#segment(viewer, first, undefined);
    if (this.panel.includes(viewer)) for (const segment of others) this.#segment(viewer, segment, undefined);
  }

  #segment(viewer: number, segment: MediaSegment, start: Start | undefined): void {
    const sentMs = performance.now();
    this.#fetch(segment.url, false, (fetched) => {
      const now = performance.now();
      this.counts.segmentLoads++;
      this.#noteCache('segment', fetched);
      const failed = failureOf(fetched) ?? shortOf(fetched);
      if (failed) {
        this.counts.failedSegments++;
        this.#hadFailure[viewer] = 1;
        this.violations.add({ rule: 'HLS-008', text: `segment ${segment.msn}: ${failed}` });
        // it goes on with the playlist; there was no first picture, though
        if (start) this.#phase[viewer] = held;
        start?.settle(start.token, 'error', `first segment: ${failed}`);
        return;
      }
      this.segmentLatency.recordMs(now - sentMs);
      this.firstByteLatency.recordMs(Math.max(0, fetched.firstByteMs - sentMs));
      this.counts.segmentBytes += fetched.bytes;
      if (this.panel.includes(viewer)) this.panel.buffer(viewer, segment.durationS, now);
      if (start) this.#phase[viewer] = held;
      start?.settle(start.token, 'ok');
    });
  }

  #fetch(url: string, keepText: boolean, done: (fetched: Fetched) => void): void {
    this.#pending++;
    this.#options.fetcher.fetch(url, keepText, (fetched) => {
      this.#pending--;
      // what the end of the run cut off says nothing about the stream
      if (this.#stopped && fetched.status === 0) return;
      done(fetched);
    });
  }

  #masterOf(text: string): MasterPlaylist | undefined {
    if (this.#masters.has(text)) return this.#masters.get(text);
    const parsed = parsePlaylist(text, this.#options.masterUrl);
    const master = parsed.kind === 'master' && parsed.variants.length > 0 ? parsed : undefined;
    // a master playlist does not change; one that does is read again each time
    if (this.#masters.size < 8) this.#masters.set(text, master);
    return master;
  }

  #watchOf(url: string): number {
    const known = this.#watches.findIndex((watch) => watch.url === url);
    if (known >= 0) return known;
    return this.#watches.push(new PlaylistWatch(url, this.violations)) - 1;
  }

  #watch(viewer: number): PlaylistWatch {
    // safe: join() made it before any load
    return this.#watches[this.#variant[viewer]!]!;
  }

  #noteCache(kind: 'playlist' | 'segment', fetched: Fetched): void {
    if (fetched.status === 0) return;
    const key = `${kind} ${cacheStatusOf(fetched.headers).state}`;
    this.cache.set(key, (this.cache.get(key) ?? 0) + 1);
  }
}

interface Start {
  readonly token: number;
  readonly settle: Settle;
}

function startMsn(playlist: PlaylistVersion['playlist']): number {
  if (playlist.endList) return playlist.mediaSequence;
  const backS = Math.max(startTargetDurations * playlist.targetDurationS, playlist.holdBackS ?? 0);
  let [fromEndS, msn] = [0, lastMsn(playlist)];
  for (const segment of playlist.segments.toReversed()) {
    fromEndS += segment.durationS;
    msn = segment.msn;
    if (fromEndS >= backS - 0.001) break;
  }
  return msn;
}

function failureOf({ status, failure }: Fetched): string | undefined {
  if (status === 0) return failure || 'no answer';
  return status === 200 || status === 206 ? undefined : `http ${status}`;
}

function shortOf({ bytes, announcedBytes }: Fetched): string | undefined {
  if (bytes === 0) return 'empty';
  return announcedBytes !== undefined && bytes < announcedBytes
    ? `${bytes} of ${announcedBytes} bytes`
    : undefined;
}
