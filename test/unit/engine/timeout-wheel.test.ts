import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InFlightTable } from '../../../src/engine/in-flight.ts';
import { TimeoutWheel } from '../../../src/engine/timeout-wheel.ts';

test('each deadline fires once, never early, and at most two slots after it', () => {
  const action = fc.record({
    waitMs: fc.integer({ min: 0, max: 25_000 }),
    timeoutMs: fc.integer({ min: 1, max: 40_000 }),
    cleared: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      let now = 5;
      const wheel = new TimeoutWheel(64, now);
      const due = new Map<number, number>();
      const advance = (to: number) => {
        for (; now < to; now = Math.min(to, now + 7)) {
          wheel.advance(now, (handle) => {
            const deadline = due.get(handle);
            expect(deadline).toBeDefined();
            expect(now).toBeGreaterThanOrEqual(deadline!);
            expect(now - deadline!).toBeLessThanOrEqual(20);
            due.delete(handle);
          });
        }
      };
      actions.forEach(({ waitMs, timeoutMs, cleared }, handle) => {
        advance(now + waitMs);
        wheel.set(handle, now + timeoutMs);
        due.set(handle, now + timeoutMs);
        if (cleared) {
          wheel.clear(handle);
          wheel.clear(handle);
          due.delete(handle);
        }
      });
      advance(now + 45_000);
      expect(due.size).toBe(0);
    }),
    { numRuns: 25 },
  );
});

test('a stall of many turns still fires each deadline exactly once', () => {
  const wheel = new TimeoutWheel(10, 0);
  for (let handle = 0; handle < 10; handle++) wheel.set(handle, 100 + handle * 3000);
  const fired: number[] = [];
  wheel.advance(1_000_000, (handle) => fired.push(handle));
  wheel.advance(2_000_000, (handle) => fired.push(handle));
  expect(fired.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a deadline already past when it is set fires at the next step', () => {
  const wheel = new TimeoutWheel(1, 0);
  wheel.advance(500, () => {});
  wheel.set(0, 10);
  let fired = 0;
  wheel.advance(511, () => fired++);
  expect(fired).toBe(1);
});

test('a token of an operation that is over does not name the next one in its slot', () => {
  const table = new InFlightTable(2);
  const slot = table.take(1, 2);
  const token = table.tokenOf(slot);
  expect(table.slotOf(token)).toBe(slot);
  table.release(slot);
  expect(table.slotOf(token)).toBe(-1);
  const again = table.take(3, 4);
  expect(again).toBe(slot);
  expect(table.slotOf(token)).toBe(-1);
  expect(table.slotOf(table.tokenOf(again))).toBe(again);
  table.take(5, 6);
  expect(table.full).toBe(true);
  expect([...table.slots()]).toHaveLength(2);
});
