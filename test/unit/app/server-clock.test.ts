import { expect, test } from 'vitest';
import { ServerClock } from '../../../src/app/server-clock.ts';

const serverMs = Date.parse('2026-03-01T12:00:00Z');

function device(wallMs: number) {
  const clocks = { wall: wallMs, steady: 500 };
  const clock = new ServerClock({ wallMs: () => clocks.wall, steadyMs: () => clocks.steady });
  return { clocks, clock };
}

test.each([-3_600_000, 0, 86_400_000])('a device that is %d ms off tells the same time', (offMs) => {
  const { clocks, clock } = device(serverMs + offMs);
  expect(clock.nowMs()).toBe(serverMs + offMs);
  clock.observe(serverMs, 40);
  expect(clock.nowMs()).toBe(serverMs + 20);
  clocks.wall += 1000;
  clocks.steady += 1000;
  expect(clock.nowMs()).toBe(serverMs + 1020);
});

test('time that the device slept through, or that its user set back, has passed', () => {
  const { clocks, clock } = device(serverMs);
  clock.observe(serverMs, 0);
  clocks.wall += 60_000;
  expect(clock.nowMs()).toBe(serverMs + 60_000);
  clocks.wall -= 3_600_000;
  clocks.steady += 61_000;
  expect(clock.nowMs()).toBe(serverMs + 61_000);
});
