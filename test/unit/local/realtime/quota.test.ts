import { afterEach, describe, expect, test } from 'vitest';
import { quotaProfiles } from '../../../../src/local/gateway/quota-profiles.ts';
import { Quota } from '../../../../src/local/gateway/realtime/quota.ts';
import { RateCounter } from '../../../../src/local/gateway/realtime/rate-counter.ts';

/** Plays intervals of 5 s with these counts; gives the averages after each tick. */
function play(counter: RateCounter, counts: readonly number[]): number[] {
  return counts.map((count) => {
    counter.add(count);
    counter.tick();
    return counter.averagePerS;
  });
}

describe('RateCounter', () => {
  test('the empty first bucket halves the first average', () => {
    expect(play(new RateCounter(100), [500])).toEqual([50]); // 500 in 5 s is 100/s, over two buckets 50/s
  });

  test('twice the limit for 5 s passes, a third 5 s of it trips', () => {
    const counter = new RateCounter(100);
    play(counter, [999]);
    expect(counter.triggered).toBe(false);
    play(counter, [1000]);
    expect(counter.triggered).toBe(true);
  });

  test('trips at the limit, not above it', () => {
    const counter = new RateCounter(100);
    play(counter, [1000]);
    expect([counter.averagePerS, counter.triggered]).toEqual([100, true]);
  });

  test('averages over 12 buckets and recovers only as the burst leaves the window', () => {
    const counter = new RateCounter(100);
    play(counter, new Array(11).fill(0));
    play(counter, [6_000]);
    expect([counter.averagePerS, counter.triggered]).toEqual([100, true]);
    const averages = play(counter, new Array(12).fill(0));
    expect(averages.slice(0, 11).every((average) => average === 100)).toBe(true);
    expect([averages[11], counter.triggered]).toEqual([0, false]);
  });
});

describe('Quota', () => {
  let quota = new Quota(null);
  afterEach(() => quota.stop());

  test('without a profile nothing is refused', () => {
    quota = new Quota(null);
    quota.countMessages(1e9);
    const asked = [
      quota.messagesExceeded,
      quota.joinsExceeded,
      quota.changesExceeded,
      quota.connectionsExceeded(1e6),
      quota.channelsExceeded(1e6),
      quota.payloadExceeded(1e9),
      quota.presenceExceeded(),
      quota.clientPresenceWindow()(0),
      quota.restRefusal(1e6),
    ];
    expect(asked.every((answer) => !answer)).toBe(true);
  });

  test('the limits of a plan', () => {
    quota = new Quota(quotaProfiles.free);
    expect([quota.connectionsExceeded(199), quota.connectionsExceeded(200)]).toEqual([false, true]);
    expect([quota.channelsExceeded(99), quota.channelsExceeded(100)]).toEqual([false, true]);
    expect([quota.payloadExceeded(256_000), quota.payloadExceeded(257_000)]).toEqual([false, true]);
    expect(quota.restRefusal(101)).toBe('Too many messages to broadcast, please reduce the batch size');
    expect(quota.restRefusal(100)).toBeNull();
    expect(quota.refusals).toMatchObject({ connections: 1, channels: 1, payload: 1, messages: 1 });
  });

  test('a client may call presence five times in 30 s', () => {
    quota = new Quota(quotaProfiles.pro);
    const exceeds = quota.clientPresenceWindow();
    expect([0, 1, 2, 3, 4, 5, 30_000, 30_001].map((ms) => exceeds(ms))).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      true,
      false,
    ]);
  });
});
