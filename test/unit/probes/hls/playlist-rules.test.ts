import { describe, expect, test } from 'vitest';
import { checkHeaders, hlsRules } from '../../../../src/probes/hls/playlist-rules.ts';
import { PlaylistWatch } from '../../../../src/probes/hls/playlist-watch.ts';
import { Violations } from '../../../../src/probes/hls/violations.ts';

const goodHeaders = {
  'content-type': 'application/vnd.apple.mpegurl',
  'cache-control': 'public, max-age=1',
  'access-control-allow-origin': '*',
};

interface Shape {
  readonly target?: number;
  readonly count?: number;
  readonly discontinuities?: readonly number[];
  readonly dropTags?: boolean;
  readonly discontinuitySequence?: number;
  readonly lastS?: number;
  readonly uri?: (msn: number) => string;
}

/** A live playlist whose first segment is `first`; discontinuities stand at 4, 8, 12 … unless said otherwise. */
function playlist(first: number, shape: Shape = {}): string {
  const { target = 2, count = 6, lastS = 2, uri = (msn: number) => `${msn}.ts` } = shape;
  const isBreak = (msn: number) => msn > 0 && msn % 4 === 0;
  const removed = Array.from({ length: first }, (_, msn) => msn).filter(isBreak).length;
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    `#EXT-X-TARGETDURATION:${target}`,
    `#EXT-X-MEDIA-SEQUENCE:${first}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${shape.discontinuitySequence ?? removed}`,
  ];
  for (let msn = first; msn < first + count; msn++) {
    if (isBreak(msn) && !shape.dropTags) lines.push('#EXT-X-DISCONTINUITY');
    lines.push(`#EXTINF:${(msn === first + count - 1 ? lastS : 2).toFixed(3)},`, uri(msn));
  }
  return `${lines.join('\n')}\n`;
}

/** Observes texts two seconds apart, as one viewer would, and names the rules that were broken. */
function rulesBrokenBy(texts: readonly string[], headers: Record<string, string> = goodHeaders): string[] {
  const violations = new Violations();
  const watch = new PlaylistWatch('http://origin/live/low/playlist.m3u8', violations);
  texts.forEach((text, i) => {
    watch.observe(text, headers, i * 2000, i * 2000 + 5);
  });
  return violations.rules;
}

test('a healthy live stream over many loops breaks no rule', () => {
  expect(rulesBrokenBy(Array.from({ length: 40 }, (_, first) => playlist(first)))).toEqual([]);
});

test('a healthy stream seen with gaps, twice each, and at its end breaks no rule', () => {
  const seen = [0, 0, 1, 3, 3, 9, 30].map((first) => playlist(first));
  expect(rulesBrokenBy([...seen, `${playlist(30)}#EXT-X-ENDLIST\n`])).toEqual([]);
});

describe('each fault is caught by exactly its check', () => {
  const before = [0, 1, 2].map((first) => playlist(first));
  test.each([
    ['frozen playlist', 'HLS-002', [2, 2, 2].map((first) => playlist(first))],
    ['sequence goes back', 'HLS-003', [playlist(0), playlist(3)]],
    [
      'removed segment not counted',
      'HLS-003',
      [playlist(2, { uri: (msn) => `${msn + 1}.ts`, dropTags: false })],
    ],
    ['segment renamed', 'HLS-004', [playlist(3, { uri: (msn) => (msn === 5 ? 'other.ts' : `${msn}.ts`) })]],
    ['discontinuity tag dropped', 'HLS-005', [playlist(3, { dropTags: true })]],
    ['discontinuities not counted', 'HLS-005', [playlist(3), playlist(5, { discontinuitySequence: 0 })]],
    ['target duration changed', 'HLS-006', [playlist(3, { target: 4 })]],
    ['segment too long', 'HLS-006', [playlist(3, { lastS: 3.2 })]],
    ['window too short', 'HLS-007', [playlist(6, { count: 2 })]],
    ['cut in the last line', 'HLS-010', [playlist(3).slice(0, -4)]],
    ['segments taken off the end', 'HLS-010', [playlist(3), playlist(3, { count: 4 })]],
    ['not a playlist', 'HLS-010', ['<html>gateway timeout</html>']],
  ])('%s → %s', (_name, rule, texts) => {
    expect(rulesBrokenBy([...before, ...texts])).toEqual([rule]);
  });

  test.each([
    ['wrong type', { ...goodHeaders, 'content-type': 'text/plain' }],
    ['cached for long', { ...goodHeaders, 'cache-control': 'public, max-age=60' }],
    ['shared caches for long', { ...goodHeaders, 'cache-control': 'max-age=1, s-maxage=60' }],
    ['cached as anybody likes', { 'content-type': 'audio/mpegurl', 'access-control-allow-origin': '*' }],
    ['no CORS', { 'content-type': 'audio/mpegURL; charset=utf-8', 'cache-control': 'no-cache' }],
  ])('%s → HLS-011', (_name, headers) => {
    expect(rulesBrokenBy(before, headers as Record<string, string>)).toEqual(['HLS-011']);
  });
});

test('staleness is only claimed where it is proved: a load that began before the limit proves nothing', () => {
  const violations = new Violations();
  const watch = new PlaylistWatch('http://origin/p.m3u8', violations);
  watch.observe(playlist(1), goodHeaders, 0, 100);
  // began 2.9 s after the version was seen, answered late: 1.5 × 2 s had not passed when it began
  watch.observe(playlist(1), goodHeaders, 3000, 9000);
  expect(violations.countOf('HLS-002')).toBe(0);
  watch.observe(playlist(1), goodHeaders, 3200, 3210);
  watch.observe(playlist(1), goodHeaders, 5200, 5210);
  expect(violations.countOf('HLS-002')).toBe(1);
});

test('each text is parsed once however many viewers bring it, and only the last few are kept', () => {
  const watch = new PlaylistWatch('http://origin/p.m3u8', new Violations());
  for (let viewer = 0; viewer < 100; viewer++) watch.observe(playlist(1), goodHeaders, viewer, viewer);
  expect(watch.parses).toBe(1);
  for (let first = 2; first < 20; first++) watch.observe(playlist(first), goodHeaders, first, first);
  expect(watch.parses).toBe(19);
});

test('headers of a healthy origin break nothing; HLS-011 is a warning, no error', () => {
  expect(checkHeaders(goodHeaders, 2)).toEqual([]);
  const violations = new Violations();
  violations.add({ rule: 'HLS-011', text: 'x' });
  expect(violations.errors).toBe(0);
  violations.add({ rule: 'HLS-002', text: 'y' });
  expect(violations.errors).toBe(1);
  expect(violations.report().map((entry) => entry.rule)).toEqual(['HLS-002', 'HLS-011']);
  expect(Object.keys(hlsRules)).toContain('HLS-002');
});
