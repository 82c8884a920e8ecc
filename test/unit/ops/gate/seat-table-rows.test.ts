import { describe, expect, it } from 'vitest';
import { type SeatTableRow, SeatTableRows } from '../../../../src/ops/guard/seat-table-rows.ts';

const pair = (n: number) => ({ streamId: `s${n}`, userId: `u${n}` });
const banned = (n: number): SeatTableRow => ({ ...pair(n), ban: { untilMs: null }, seat: null });

describe('rows of a seat table', () => {
  it('a pair that is told is unread until it is read, and gone when there is no row', async () => {
    const rows = new SeatTableRows(10);
    await rows.replaceBy(async () => [banned(1)]);
    expect(rows.get('s1', 'u1')).toEqual({ ban: { untilMs: null }, seat: null });
    rows.tell(pair(1));
    expect(rows.isUnread('s1', 'u1')).toBe(true);
    const waiting = rows.settled('s1', 'u1', 10_000);
    rows.put(rows.take(10), []);
    expect(await waiting).toBe(true);
    expect(rows.isUnread('s1', 'u1')).toBe(false);
    expect(rows.get('s1', 'u1')).toEqual({ ban: null, seat: null });
    expect(await rows.settled('s1', 'u1', 0)).toBe(true);
  });

  it('told again while it is read it stays unread: the reading may have missed it', () => {
    const rows = new SeatTableRows(10);
    rows.tell(pair(1));
    const reading = rows.take(10);
    rows.tell(pair(1));
    rows.put(reading, []);
    expect(rows.isUnread('s1', 'u1')).toBe(true);
    rows.put(rows.take(10), [banned(1)]);
    expect(rows.isUnread('s1', 'u1')).toBe(false);
    expect(rows.get('s1', 'u1').ban).not.toBeNull();
  });

  it('told while everything is loaded it stays unread, too', async () => {
    const rows = new SeatTableRows(10);
    rows.tell(pair(1));
    await rows.replaceBy(async () => {
      rows.tell(pair(2));
      return [banned(1)];
    });
    expect([rows.isUnread('s1', 'u1'), rows.isUnread('s2', 'u2')]).toEqual([false, true]);
  });

  it('whoever waits for a reading that does not come is told so', async () => {
    const rows = new SeatTableRows(10);
    rows.tell(pair(1));
    expect(await rows.settled('s1', 'u1', 1)).toBe(false);
  });

  it('is in trouble while there are more rows than fit', async () => {
    const rows = new SeatTableRows(2);
    await rows.replaceBy(async (limit) => [1, 2, 3].slice(0, limit).map(banned));
    expect(rows.size).toBe(2);
    expect(rows.trouble).toMatch(/more than 2/);
    await rows.replaceBy(async () => [banned(1), banned(2)]);
    expect(rows.trouble).toBeNull();
    rows.tell(pair(3));
    rows.put(rows.take(1), [banned(3)]);
    expect(rows.trouble).toMatch(/more than 2/);
  });

  it('is in trouble while more has changed than can be noted, until a load that began after it', async () => {
    const rows = new SeatTableRows(10);
    for (let n = 0; n < 10_001; n++) rows.tell(pair(n));
    expect(rows.unreadCount).toBe(10_000);
    expect(rows.trouble).toMatch(/changed at once/);
    await rows.replaceBy(async () => {
      rows.tell(pair(20_000));
      return [];
    });
    // one more went unnoted meanwhile
    expect(rows.isBehind).toBe(true);
    await rows.replaceBy(async () => []);
    expect(rows.trouble).toBeNull();
    expect(rows.unreadCount).toBe(0);
  });
});
