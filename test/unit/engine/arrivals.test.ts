import fc from 'fast-check';
import { expect, test } from 'vitest';
import { constantArrivals } from '../../../src/engine/constant-arrivals.ts';
import { indexRandom } from '../../../src/engine/index-random.ts';
import { rampArrivals } from '../../../src/engine/ramp-arrivals.ts';

const rate = fc.double({ min: 0.5, max: 50_000, noNaN: true });

test('a constant rate is due at equal gaps and counts what is due', () => {
  const arrivals = constantArrivals(100);
  expect(arrivals.dueMs(0)).toBe(0);
  expect(arrivals.dueMs(250)).toBe(2500);
  expect(arrivals.countWithin(1000)).toBe(100);
  expect(arrivals.countWithin(0)).toBe(0);
  expect(constantArrivals(3).countWithin(1000)).toBe(3);
});

test('a ramp is due earlier and earlier until it is constant', () => {
  const arrivals = rampArrivals({ fromPerS: 0, toPerS: 100, rampMs: 2000 });
  // half the area of the full rate: 100 arrivals in the two seconds of the ramp
  expect(arrivals.countWithin(2000)).toBe(100);
  expect(arrivals.dueMs(25)).toBeCloseTo(1000, 6);
  expect(arrivals.dueMs(100)).toBeCloseTo(2000, 6);
  expect(arrivals.dueMs(150)).toBeCloseTo(2500, 6);
});

test('due times never decrease and agree with the count, up or down', () => {
  fc.assert(
    fc.property(rate, rate, fc.integer({ min: 1, max: 20_000 }), (fromPerS, toPerS, rampMs) => {
      const arrivals = rampArrivals({ fromPerS, toPerS, rampMs });
      let before = 0;
      for (const index of [0, 1, 2, 10, 500, 501, 20_000]) {
        const due = arrivals.dueMs(index);
        expect(due).toBeGreaterThanOrEqual(before);
        // everything up to this index is due just after its instant
        expect(arrivals.countWithin(due + 0.01)).toBeGreaterThanOrEqual(index + 1);
        expect(arrivals.countWithin(Math.max(0, due - 0.01))).toBeLessThanOrEqual(index + 1);
        before = due;
      }
    }),
    { numRuns: 60 },
  );
});

test('a rate of nothing is refused', () => {
  expect(() => constantArrivals(0)).toThrow(RangeError);
  expect(() => rampArrivals({ fromPerS: 1, toPerS: 0, rampMs: 5 })).toThrow(RangeError);
});

test('random choices depend on seed and index alone and are spread out', () => {
  expect(indexRandom(7, 41)).toBe(indexRandom(7, 41));
  expect(indexRandom(7, 41)).not.toBe(indexRandom(8, 41));
  const buckets = new Uint32Array(10);
  for (let i = 0; i < 10_000; i++) buckets[indexRandom(1, i) % 10]!++;
  expect(Math.min(...buckets)).toBeGreaterThan(850);
});
