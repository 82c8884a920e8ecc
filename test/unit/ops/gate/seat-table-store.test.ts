import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import type { GuardStore, SeatFact } from '../../../../src/ops/guard/guard-store.ts';
import { createStoreSeatTable } from '../../../../src/ops/guard/seat-table-store.ts';

const streamId = 'a2c4e6f8-1b3d-4f5a-8c7e-9d0b1a2c3e4f';
const userId = '0d5f2b7e-3f57-4c8a-9f0e-0a1b2c3d4e5f';
const seat = { state: 'active', canPublish: true, expiresAt: null };

/** The rows as the project's API would give them, and whether it answers. */
function apiOf(facts: SeatFact[]) {
  const api = { facts, answers: true, asked: [] as string[] };
  const store: Pick<GuardStore, 'seatFacts'> = {
    async seatFacts(pairs) {
      api.asked.push(pairs === null ? 'all' : `${pairs.length}`);
      if (!api.answers) throw new Error('the API does not answer');
      return api.facts;
    },
  };
  return { api, store };
}

function tableOver(store: Pick<GuardStore, 'seatFacts'>, reloadMs = 60_000, staleAfterMs = 120_000) {
  return createStoreSeatTable({ store, clock: systemClock, log: silentLogger, reloadMs, staleAfterMs });
}

describe('a seat table over the API', () => {
  it('loads at the start, reads what it is told of, and everything when it is told of nobody', async () => {
    const { api, store } = apiOf([{ streamId, userId, ban: null, seat }]);
    const table = tableOver(store);
    expect(table.standing(streamId, userId).current).toBe(false);
    await table.start();
    expect(table.standing(streamId, userId)).toEqual({
      current: true,
      ban: null,
      seat: { canPublish: true, expiresAtMs: null },
    });
    api.facts = [
      { streamId, userId, ban: { until: '2030-01-01T00:00:00Z' }, seat: { ...seat, state: 'revoked' } },
    ];
    table.changed({ streamId, userId });
    expect(table.standing(streamId, userId).current).toBe(false);
    expect(await table.settled(streamId, userId, 10_000)).toBe(true);
    expect(table.standing(streamId, userId)).toEqual({
      current: true,
      ban: { untilMs: Date.parse('2030-01-01T00:00:00Z') },
      seat: null,
    });
    api.facts = [];
    table.changed(null);
    await expect
      .poll(() => table.standing(streamId, userId))
      .toEqual({ current: true, ban: null, seat: null });
    expect(api.asked).toEqual(['all', '1', 'all']);
    await table.stop();
    expect(table.status()).toMatchObject({ ready: false, why: 'it is not running' });
  });

  it('finds by itself what nobody told, and after a source was away at once', async () => {
    const { api, store } = apiOf([]);
    const slow = tableOver(store);
    const quick = tableOver(store, 20);
    await Promise.all([slow.start(), quick.start()]);
    api.facts = [{ streamId, userId, ban: { until: null }, seat: null }];
    await expect.poll(() => quick.standing(streamId, userId).ban).toEqual({ untilMs: null });
    expect(slow.standing(streamId, userId).ban).toBeNull();
    slow.connected();
    await expect.poll(() => slow.standing(streamId, userId).ban).toEqual({ untilMs: null });
    await Promise.all([slow.stop(), quick.stop()]);
  });

  it('is loaded in its turn, however many pairs are asked about meanwhile', async () => {
    const { api, store } = apiOf([]);
    let knocking = true;
    const table = tableOver({
      async seatFacts(pairs) {
        // the next one knocks while this one is read
        if (pairs !== null && knocking) table.changed({ streamId, userId });
        await new Promise((resolve) => setImmediate(resolve));
        return store.seatFacts(pairs);
      },
    });
    await table.start();
    table.changed({ streamId, userId });
    await expect.poll(() => table.status().rereads).toBeGreaterThan(2);
    expect(table.status().loads).toBe(1);
    api.facts = [{ streamId, userId, ban: { until: null }, seat: null }];
    table.changed(null);
    await expect.poll(() => table.status().loads).toBe(2);
    knocking = false;
    await expect
      .poll(() => table.standing(streamId, userId))
      .toMatchObject({ current: true, ban: { untilMs: null } });
    await table.stop();
  });

  it('is not current when it has not been read for too long, and is again when it was', async () => {
    const { api, store } = apiOf([{ streamId, userId, ban: { until: null }, seat: null }]);
    const table = tableOver(store, 10, 100);
    await table.start();
    api.answers = false;
    await expect
      .poll(() => table.status())
      .toMatchObject({ ready: false, why: expect.stringMatching(/does not answer/) });
    // what is known of a ban holds
    expect(table.standing(streamId, userId)).toMatchObject({ current: false, ban: { untilMs: null } });
    api.answers = true;
    await expect.poll(() => table.status()).toMatchObject({ ready: true, why: null });
    await table.stop();
  });

  it('what cannot be read counts against its owner', async () => {
    const { store } = apiOf([
      { streamId, userId, ban: { until: 'soon' }, seat: { ...seat, expiresAt: 'some day' } },
    ]);
    const table = tableOver(store);
    await table.start();
    expect(table.standing(streamId, userId)).toMatchObject({
      ban: { untilMs: Number.POSITIVE_INFINITY },
      seat: { expiresAtMs: 0 },
    });
    await table.stop();
  });
});
