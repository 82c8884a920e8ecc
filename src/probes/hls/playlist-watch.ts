import type { Headers } from '../../target/hls/cache-status.ts';
import { type MediaPlaylist, parsePlaylist } from '../../target/hls/playlist.ts';
import {
  checkChange,
  checkHeaders,
  checkRegression,
  checkStale,
  checkVersion,
  lastMsn,
} from './playlist-rules.ts';
import type { Violations } from './violations.ts';

/** One distinct text of a media playlist. */
export interface PlaylistVersion {
  /** 1, 2, 3 … in the order they were first seen. */
  readonly id: number;
  readonly playlist: MediaPlaylist;
}

/** Two edges out of step show each a few versions at the same time; more distinct texts than this are history. */
const keptVersions = 8;

/**
 * A media playlist as all its viewers see it: each distinct text is parsed and judged once, whoever brings it, and
 * viewers hold nothing but the number of the version they know (hls.md III.4: 4 parses instead of 30,000).
 */
export class PlaylistWatch {
  readonly url: string;
  readonly #violations: Violations;
  readonly #versions = new Map<string, PlaylistVersion>();
  #first: MediaPlaylist | undefined;
  #newest: MediaPlaylist | undefined;
  #newestSeenMs = 0;
  #staleReported = false;
  #headersJudged = false;
  parses = 0;

  constructor(url: string, violations: Violations) {
    this.url = url;
    this.#violations = violations;
  }

  /**
   * A load that began at `startedMs` brought this text.
   * @returns its version, or undefined when it is no playlist
   */
  observe(text: string, headers: Headers, startedMs: number, nowMs: number): PlaylistVersion | undefined {
    const version = this.#versions.get(text) ?? this.#learn(text, headers, nowMs);
    // only a load that began after the newest was seen proves anything: answers overtake each other
    if (version && this.#newest && startedMs > this.#newestSeenMs)
      this.#checkTime(version.playlist, startedMs);
    return version;
  }

  /** How long ago anybody first saw the newest segment of this version, in ms: 0 for who sees it first. */
  ageMs(nowMs: number): number {
    return this.#newest ? nowMs - this.#newestSeenMs : 0;
  }

  #checkTime(playlist: MediaPlaylist, startedMs: number): void {
    const regression = this.#newest && checkRegression(this.#newest, playlist);
    if (regression) this.#violations.add(regression);
    if (playlist !== this.#newest || this.#staleReported) return;
    const stale = checkStale(playlist, (startedMs - this.#newestSeenMs) / 1000);
    if (!stale) return;
    this.#staleReported = true; // once per version: a thousand viewers see the same stop
    this.#violations.add(stale);
  }

  #learn(text: string, headers: Headers, nowMs: number): PlaylistVersion | undefined {
    this.parses++;
    const parsed = parsePlaylist(wholeLines(text), this.url);
    if (parsed.kind !== 'media') {
      const reason =
        parsed.kind === 'unreadable' ? parsed.reason : 'a master playlist where a media playlist was';
      this.#violations.add({ rule: 'HLS-010', text: `not readable: ${reason}` });
      return undefined;
    }
    const playlist = { ...parsed, endsWithNewline: text.endsWith('\n') };
    this.#judge(playlist, headers);
    const version = { id: this.parses, playlist };
    if (this.#versions.size >= keptVersions) {
      const oldest = this.#versions.keys().next().value;
      if (oldest !== undefined) this.#versions.delete(oldest);
    }
    this.#versions.set(text, version);
    this.#becomeNewest(playlist, nowMs);
    return version;
  }

  #judge(playlist: MediaPlaylist, headers: Headers): void {
    this.#first ??= playlist;
    for (const violation of checkVersion(playlist, this.#first)) this.#violations.add(violation);
    // a text that was cut short lacks segments for that reason alone
    if (this.#newest && playlist.endsWithNewline) {
      for (const violation of checkChange(this.#newest, playlist)) this.#violations.add(violation);
    }
    if (this.#headersJudged) return;
    this.#headersJudged = true;
    for (const violation of checkHeaders(headers, playlist.targetDurationS)) this.#violations.add(violation);
  }

  #becomeNewest(playlist: MediaPlaylist, nowMs: number): void {
    const before = this.#newest;
    if (before && lastMsn(playlist) < lastMsn(before)) return;
    if (before && playlist.mediaSequence < before.mediaSequence) return;
    const isNewer = !before || lastMsn(playlist) > lastMsn(before);
    this.#newest = playlist;
    if (!isNewer) return;
    this.#newestSeenMs = nowMs;
    this.#staleReported = false;
  }
}

/** Without the rest of a line that was cut: half a URI names no segment. */
function wholeLines(text: string): string {
  return text.endsWith('\n') ? text : text.slice(0, text.lastIndexOf('\n') + 1);
}
