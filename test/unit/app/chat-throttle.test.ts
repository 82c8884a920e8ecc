import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChatThrottle } from '../../../src/app/chat-throttle.ts';

test('lets one message a second through and says when the next may go', () => {
  let now = 10_000;
  const throttle = createChatThrottle({ now: () => now });
  expect(throttle.tryAcquire()).toEqual({ allowed: true });
  now += 250;
  expect(throttle.tryAcquire()).toEqual({ allowed: false, retryInMs: 750 });
  now += 749;
  expect(throttle.tryAcquire()).toEqual({ allowed: false, retryInMs: 1 });
  now += 1;
  expect(throttle.tryAcquire()).toEqual({ allowed: true });
});

test('a spammer is never let through faster than the interval, and refusals do not move the turn away', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 200 });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 2000 }), (waits, intervalMs) => {
      let now = 0;
      const throttle = createChatThrottle({ now: () => now, intervalMs });
      let last = Number.NEGATIVE_INFINITY;
      let promisedAt: number | undefined;
      for (const wait of waits) {
        now += wait;
        const turn = throttle.tryAcquire();
        if (turn.allowed) {
          expect(now - last).toBeGreaterThanOrEqual(intervalMs);
          if (promisedAt !== undefined) expect(now).toBeGreaterThanOrEqual(promisedAt);
          [last, promisedAt] = [now, undefined];
        } else {
          promisedAt ??= now + turn.retryInMs;
          expect(now + turn.retryInMs).toBe(promisedAt);
          expect(promisedAt).toBe(last + intervalMs);
        }
      }
    }),
  );
});

test('a clock that is set back locks nobody out for longer than the interval', () => {
  let now = 1_000_000;
  const throttle = createChatThrottle({ now: () => now });
  throttle.tryAcquire();
  now = 0;
  const turn = throttle.tryAcquire();
  expect(turn).toEqual({ allowed: false, retryInMs: 1000 });
});

test('when the next turn comes can be asked without taking it, and the server can put it off', () => {
  let now = 0;
  const throttle = createChatThrottle({ now: () => now });
  expect(throttle.retryInMs()).toBe(0);
  throttle.tryAcquire();
  now += 400;
  expect(throttle.retryInMs()).toBe(600);
  throttle.holdBack();
  expect(throttle.retryInMs()).toBe(1000);
  now += 1000;
  expect(throttle.retryInMs()).toBe(0);
  expect(throttle.tryAcquire()).toEqual({ allowed: true });
});
