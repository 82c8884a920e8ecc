import type { MediaPlaylist, MediaSegment } from '../../target/hls/playlist.ts';

/** Rules of hls.md III.2 that this probe checks. HLS-001 is our own duty: see reload-pace.ts. */
export const hlsRules = {
  'HLS-001': 'playlists are reloaded at the pace of RFC 8216 §6.3.4',
  'HLS-002': 'a new version with a new segment within 1.5 target durations (RFC 8216 §6.2.1)',
  'HLS-003': 'media sequence numbers grow by one per removed segment and never decrease (§6.2.2)',
  'HLS-004': 'a media sequence number keeps its URI (§6.3.4)',
  'HLS-005': 'the discontinuity sequence counts the removed discontinuities (§6.2.2)',
  'HLS-006': 'segments fit the target duration, which never changes (§4.3.3.1)',
  'HLS-007': 'a live playlist holds three target durations (§6.2.2)',
  'HLS-008': 'what is listed can be fetched, whole',
  'HLS-010': 'playlists only grow at the end and shrink at the front, and arrive whole (§6.2.1)',
  'HLS-011': 'media type, short cache life and CORS of playlists (§4)',
} as const;

export type HlsRule = keyof typeof hlsRules;

export interface Violation {
  readonly rule: HlsRule;
  readonly text: string;
}

const least = { windowTargetDurations: 3, staleTargetDurations: 1.5 } as const;

/** Rules that one version shows by itself. `first` is the first version seen of this playlist. */
export function checkVersion(playlist: MediaPlaylist, first: MediaPlaylist): Violation[] {
  const found: Violation[] = [];
  const targetS = first.targetDurationS;
  if (playlist.targetDurationS !== targetS) {
    found.push({
      rule: 'HLS-006',
      text: `target duration changed from ${targetS} s to ${playlist.targetDurationS} s`,
    });
  }
  const long = playlist.segments.find((segment) => Math.round(segment.durationS) > playlist.targetDurationS);
  if (long) {
    found.push({
      rule: 'HLS-006',
      text: `segment ${long.msn} lasts ${long.durationS} s, target duration ${playlist.targetDurationS} s`,
    });
  }
  const windowS = playlist.segments.reduce((sum, segment) => sum + segment.durationS, 0);
  const leastS = least.windowTargetDurations * targetS;
  // a millisecond of rounding per segment is none of the rule's business
  const roundingS = playlist.segments.length * 0.001;
  const isCutShort = !playlist.endsWithNewline;
  if (!playlist.endList && !isCutShort && playlist.mediaSequence > 0 && windowS + roundingS < leastS) {
    found.push({ rule: 'HLS-007', text: `${windowS.toFixed(1)} s listed, at least ${leastS} s are due` });
  }
  if (isCutShort) found.push({ rule: 'HLS-010', text: 'the last line has no end: the text was cut short' });
  return found;
}

/** HLS-003: an older version than one that somebody had before this load began. */
export function checkRegression(newest: MediaPlaylist, served: MediaPlaylist): Violation | undefined {
  if (served.mediaSequence >= newest.mediaSequence) return undefined;
  return {
    rule: 'HLS-003',
    text: `media sequence went back from ${newest.mediaSequence} to ${served.mediaSequence} (edges out of step?)`,
  };
}

/** Rules between the newest version known and one that follows it; of an older one nothing can be said. */
export function checkChange(newest: MediaPlaylist, next: MediaPlaylist): Violation[] {
  if (next.mediaSequence < newest.mediaSequence) return [];
  const shared = sharedSegments(newest, next);
  const moved = renumbered(newest, next);
  if (moved) return [moved];
  const found: Violation[] = [];
  const renamed = shared.find(
    ([before, after]) => before.url !== after.url || before.byteRange !== after.byteRange,
  );
  if (renamed) {
    found.push({
      rule: 'HLS-004',
      text: `segment ${renamed[0].msn} was ${nameOf(renamed[0])}, now ${nameOf(renamed[1])}`,
    });
  }
  found.push(...checkDiscontinuities(newest, next, shared));
  if (lastMsn(next) < lastMsn(newest)) {
    found.push({
      rule: 'HLS-010',
      text: `segments ${lastMsn(next) + 1}…${lastMsn(newest)} were taken off the end`,
    });
  }
  return found;
}

/** Whether nothing new has come for so long that every viewer runs dry. `sinceS`: a bound from below. */
export function checkStale(playlist: MediaPlaylist, sinceS: number): Violation | undefined {
  if (playlist.endList || sinceS <= least.staleTargetDurations * playlist.targetDurationS) return undefined;
  return {
    rule: 'HLS-002',
    text: `no new segment for at least ${sinceS.toFixed(1)} s, target duration ${playlist.targetDurationS} s`,
  };
}

/** Headers of a media playlist's answer, names in lower case. */
export function checkHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  targetDurationS: number,
): Violation[] {
  const found: Violation[] = [];
  const type = String(headers['content-type'] ?? 'none').toLowerCase();
  if (!/^(application\/vnd\.apple\.mpegurl|audio\/mpegurl)\b/.test(type)) {
    found.push({ rule: 'HLS-011', text: `content-type ${type}` });
  }
  const cacheControl = String(headers['cache-control'] ?? '');
  // s-maxage is the one shared caches obey
  const age = /s-maxage=(\d+)/.exec(cacheControl) ?? /max-age=(\d+)/.exec(cacheControl);
  if (age && Number(age[1]) > Math.max(1, targetDurationS / 2)) {
    found.push({
      rule: 'HLS-011',
      text: `cached for ${age[1]} s, at most half of ${targetDurationS} s helps nobody stale`,
    });
  } else if (!age && !/no-store|no-cache/.test(cacheControl)) {
    found.push({
      rule: 'HLS-011',
      text: 'no Cache-Control: every cache guesses how long a live playlist lives',
    });
  }
  if (headers['access-control-allow-origin'] === undefined) {
    found.push({
      rule: 'HLS-011',
      text: 'no Access-Control-Allow-Origin: players in browsers cannot read it',
    });
  }
  return found;
}

/** Most URIs under another number by the same step: segments were removed or added without counting them. */
function renumbered(newest: MediaPlaylist, next: MediaPlaylist): Violation | undefined {
  const numberOf = new Map(newest.segments.map((segment) => [nameOf(segment), segment.msn]));
  const steps = new Map<number, number>();
  let known = 0;
  for (const segment of next.segments) {
    const before = numberOf.get(nameOf(segment));
    if (before === undefined) continue;
    known++;
    steps.set(segment.msn - before, (steps.get(segment.msn - before) ?? 0) + 1);
  }
  const [step, times] = [...steps].sort((a, b) => b[1] - a[1])[0] ?? [0, 0];
  if (step === 0 || times * 2 <= known) return undefined;
  return {
    rule: 'HLS-003',
    text: `${times} segments were renumbered by ${step}: removed segments were not counted`,
  };
}

function checkDiscontinuities(
  newest: MediaPlaylist,
  next: MediaPlaylist,
  shared: ReadonlyArray<readonly [MediaSegment, MediaSegment]>,
): Violation[] {
  const lost = shared.find(([before, after]) => before.discontinuity !== after.discontinuity);
  if (lost) {
    const verb = lost[0].discontinuity ? 'lost' : 'got';
    return [{ rule: 'HLS-005', text: `segment ${lost[0].msn} ${verb} its discontinuity tag` }];
  }
  // with a gap between the versions, tags of segments never seen would have to be counted
  if (shared.length === 0) return [];
  const removed = newest.segments.filter(
    (segment) => segment.msn < next.mediaSequence && segment.discontinuity,
  ).length;
  const counted = next.discontinuitySequence - newest.discontinuitySequence;
  if (counted === removed) return [];
  return [
    {
      rule: 'HLS-005',
      text: `discontinuity sequence grew by ${counted}, ${removed} discontinuities were removed`,
    },
  ];
}

function sharedSegments(
  newest: MediaPlaylist,
  next: MediaPlaylist,
): Array<readonly [MediaSegment, MediaSegment]> {
  const byMsn = new Map(newest.segments.map((segment) => [segment.msn, segment]));
  return next.segments.flatMap((segment) => {
    const before = byMsn.get(segment.msn);
    return before ? [[before, segment] as const] : [];
  });
}

function nameOf(segment: MediaSegment): string {
  return segment.byteRange === '' ? segment.url : `${segment.url}#${segment.byteRange}`;
}

/** The number of the last segment listed, one before the first when none is. */
export function lastMsn(playlist: MediaPlaylist): number {
  return playlist.mediaSequence + playlist.segments.length - 1;
}
