import fc from 'fast-check';
import * as hdr from 'hdr-histogram-js';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../../src/engine/latency-histogram.ts';

const micros = fc.oneof(
  fc.integer({ min: 0, max: 5000 }),
  fc.integer({ min: 0, max: 60_000_000 }),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);

function fill(values: readonly number[]) {
  const histogram = new LatencyHistogram();
  for (const us of values) histogram.recordUs(us);
  return histogram;
}

test('percentiles are those of HdrHistogram at three digits', () => {
  fc.assert(
    fc.property(fc.array(micros, { minLength: 1, maxLength: 300 }), (values) => {
      const ours = fill(values);
      const theirs = hdr.build({
        highestTrackableValue: 0xffff_ffff,
        numberOfSignificantValueDigits: 3,
        bitBucketSize: 32,
      });
      for (const us of values) theirs.recordValue(us);
      const max = Math.max(...values);
      for (const percent of [1, 25, 50, 75, 90, 95, 99, 99.9, 100]) {
        // HdrHistogram gives the upper end of the slot, ours never more than the largest value recorded
        expect(ours.percentileMs(percent) * 1000).toBeCloseTo(
          Math.min(max, theirs.getValueAtPercentile(percent)),
          3,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('every value comes back within a thousandth', () => {
  fc.assert(
    fc.property(micros, (us) => {
      const histogram = fill([us, 0xffff_ffff]);
      const back = histogram.percentileMs(50) * 1000;
      expect(back).toBeGreaterThanOrEqual(us - 1e-6);
      expect(back - us).toBeLessThanOrEqual(us / 1000 + 1e-6);
    }),
  );
});

test('adding is the same as recording in one', () => {
  fc.assert(
    fc.property(fc.array(micros), fc.array(micros), (a, b) => {
      const sum = fill(a);
      sum.add(fill(b));
      const whole = fill([...a, ...b]);
      expect(sum.summary()).toEqual(whole.summary());
      expect(sum.count).toBe(whole.count);
      expect(sum.meanMs).toBeCloseTo(whole.meanMs, 6);
    }),
    { numRuns: 30 },
  );
});

test('the export is read by HDR tools and keeps count and percentiles', () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i * 7919) % 3_000_000);
  const ours = fill(values);
  const decoded = hdr.decodeFromCompressedBase64(ours.toHdrBase64());
  expect(decoded.totalCount).toBe(5000);
  for (const percent of [50, 90, 99, 99.9]) {
    expect(decoded.getValueAtPercentile(percent)).toBeCloseTo(ours.percentileMs(percent) * 1000, 0);
  }
});

test('empty, reset and out-of-range values', () => {
  const histogram = new LatencyHistogram();
  expect(histogram.summary()).toBeNull();
  expect(histogram.percentileMs(99)).toBe(0);
  histogram.recordMs(-3);
  histogram.recordMs(1e12);
  expect(histogram.count).toBe(2);
  expect(histogram.minMs).toBe(0);
  expect(histogram.maxMs).toBeCloseTo(0xffff_ffff / 1000, 3);
  expect(histogram.countAboveMs(5)).toBe(1);
  histogram.reset();
  expect(histogram.count).toBe(0);
  histogram.recordMs(2);
  expect(histogram.minMs).toBe(2);
  expect(histogram.copy().summary()).toEqual(histogram.summary());
});
