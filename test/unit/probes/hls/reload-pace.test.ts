import { expect, test } from 'vitest';
import { nextReloadMs } from '../../../../src/probes/hls/reload-pace.ts';

// RFC 8216 §6.3.4, from the start of the last load; the inverse of this table is a known bug of a public downloader
test.each([
  { changed: true, targetDurationS: 6, endList: false, next: 7000 },
  { changed: false, targetDurationS: 6, endList: false, next: 4000 },
  { changed: true, targetDurationS: 2, endList: false, next: 3000 },
  { changed: false, targetDurationS: 2, endList: false, next: 2000 },
  { changed: false, targetDurationS: 5, endList: false, next: 3500 },
  { changed: true, targetDurationS: 6, endList: true, next: undefined },
  { changed: false, targetDurationS: 6, endList: true, next: undefined },
])('changed $changed, target $targetDurationS s, endlist $endList → $next', ({ next, ...load }) => {
  expect(nextReloadMs({ startedMs: 1000, ...load })).toBe(next);
});
