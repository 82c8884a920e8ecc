import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mediaPlaylist } from '../../../../src/local/hls/playlist.ts';
import {
  graceSegments,
  isAvailable,
  liveWindow,
  loopSegments,
  segmentS,
  startsLoop,
  windowSegments,
} from '../../../../src/local/hls/timeline.ts';

const epochMs = 1_700_000_000_000;

interface Parsed {
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  /** By sequence number: URI, discontinuity number and wall-clock time. */
  readonly segments: Map<number, { uri: string; discontinuity: number; at: number }>;
}

// A reader of its own, so that origin and test cannot share a mistake of a parser.
function parse(text: string): Parsed {
  const number = (tag: string) => Number(new RegExp(`^#EXT-X-${tag}:(\\d+)$`, 'm').exec(text)?.[1]);
  const mediaSequence = number('MEDIA-SEQUENCE');
  const discontinuitySequence = number('DISCONTINUITY-SEQUENCE');
  const segments: Parsed['segments'] = new Map();
  let [sequence, discontinuity, at] = [mediaSequence, discontinuitySequence, 0];
  for (const line of text.split('\n')) {
    if (line === '#EXT-X-DISCONTINUITY') discontinuity++;
    if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) at = Date.parse(line.slice(25));
    if (line !== '' && !line.startsWith('#')) segments.set(sequence++, { uri: line, discontinuity, at });
  }
  return { mediaSequence, discontinuitySequence, segments };
}

const playlistAt = (ms: number) => parse(mediaPlaylist(epochMs, liveWindow(epochMs, epochMs + ms)));

describe('the live playlist', () => {
  test('holds at least three target durations from the first moment on', () => {
    expect(playlistAt(0).segments.size * segmentS).toBeGreaterThanOrEqual(3 * segmentS);
  });

  test('never changes what a sequence number means: URI, discontinuity number, time', () => {
    const ms = fc.integer({ min: 0, max: 3_600_000 });
    fc.assert(
      fc.property(ms, ms, (one, other) => {
        const [a, b] = [playlistAt(one), playlistAt(other)];
        for (const [sequence, segment] of a.segments) {
          const again = b.segments.get(sequence);
          if (again !== undefined) expect(again).toEqual(segment);
        }
      }),
    );
  });

  test('counts a discontinuity as gone only when its tag is', () => {
    for (let first = 0; first < 4 * loopSegments; first++) {
      const playlist = playlistAt(first * segmentS * 1000);
      let gone = 0;
      for (let sequence = 0; sequence < first; sequence++) if (startsLoop(sequence)) gone++;
      expect(playlist.mediaSequence).toBe(first);
      expect(playlist.discontinuitySequence).toBe(gone);
    }
  });

  test('goes on by one segment every target duration and never back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_600_000 }), (ms) => {
        expect(playlistAt(ms + segmentS * 1000).mediaSequence).toBe(playlistAt(ms).mediaSequence + 1);
      }),
    );
  });

  test('lists no segment that ends in the future', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3_600_000 }), (ms) => {
        const newest = [...playlistAt(ms).segments.values()].at(-1);
        expect((newest?.at ?? Number.NaN) + segmentS * 1000).toBeLessThanOrEqual(epochMs + ms);
      }),
    );
  });
});

describe('a segment', () => {
  test('is there while listed, for its availability duration after, and not before or later', () => {
    const window = liveWindow(epochMs, epochMs + 100_000);
    expect(isAvailable(window, window.last)).toBe(true);
    expect(isAvailable(window, window.last + 1)).toBe(false);
    expect(isAvailable(window, window.first - graceSegments)).toBe(true);
    expect(isAvailable(window, window.first - graceSegments - 1)).toBe(false);
    // RFC 8216bis §6.2.2: its own duration plus that of the longest playlist with it
    expect(graceSegments).toBeGreaterThanOrEqual(1 + windowSegments);
  });
});
