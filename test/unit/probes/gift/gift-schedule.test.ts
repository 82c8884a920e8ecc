import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AcknowledgedGifts, GiftSchedule, richBalance } from '../../../../src/probes/gift/gift-schedule.ts';
import { settlementRate } from '../../../../src/probes/gift/settlement.ts';

const users = Array.from({ length: 40 }, (_, i) => ({ id: `u${i}`, username: `u${i}`, token: '' }));
const schedule = new GiftSchedule({ users, streamIds: ['s'], release: async () => {} }, '0a1b2c3d', 99);

test('a gift follows from its number: valid id, two people, a payable amount or one nobody can pay', () => {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/;
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 2 }), (index) => {
      const gift = schedule.gift('http', index);
      expect(gift).toEqual(schedule.gift('http', index));
      expect(gift.giftId).toMatch(uuid);
      expect(gift.sender).not.toBe(gift.receiver);
      expect(gift.receiver).toBeLessThan(users.length);
      const isOverdrawn = gift.amount > richBalance * users.length;
      expect(isOverdrawn || (gift.amount >= 1 && gift.amount <= 100)).toBe(true);
      expect(schedule.idOf('sql', index)).not.toBe(gift.giftId);
    }),
  );
  const overdrawn = Array.from({ length: 1000 }, (_, i) => schedule.gift('sql', i)).filter(
    (g) => g.amount > 100,
  );
  expect(overdrawn).toHaveLength(50);
});

test('acknowledged gifts are kept once each and come back in chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 200_000 }), { maxLength: 200 }), (indexes) => {
      const acknowledged = new AcknowledgedGifts();
      for (const index of indexes) acknowledged.add(index);
      const back = [...acknowledged.chunks(7)];
      expect(back.flat()).toEqual([...new Set(indexes)].sort((a, b) => a - b));
      expect(back.every((chunk) => chunk.length <= 7)).toBe(true);
      expect(acknowledged.count).toBe(new Set(indexes).size);
    }),
    { numRuns: 20 },
  );
});

test('the settlement rate is gifts over working time, not over the time between runs', () => {
  const log = { source: 'cron', settled: 0, failed: 0, rounds: 1, backlog: 0 };
  expect(settlementRate([])).toBeNull();
  expect(settlementRate([{ ...log, claimed: 5, work_s: null }])).toBeNull();
  expect(
    settlementRate([
      { ...log, claimed: 1000, work_s: 0.1 },
      { ...log, claimed: 3000, work_s: 0.1 },
    ]),
  ).toBeCloseTo(20_000);
});
