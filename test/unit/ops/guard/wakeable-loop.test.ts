import { expect, it } from 'vitest';
import { WakeableLoop } from '../../../../src/ops/guard/wakeable-loop.ts';

it('turns when woken, never twice at once, and a wake during a turn counts', async () => {
  let turns = 0;
  let running = 0;
  let gate: PromiseWithResolvers<void> = Promise.withResolvers();
  const loop = new WakeableLoop(async () => {
    running += 1;
    expect(running).toBe(1);
    turns += 1;
    await gate.promise;
    running -= 1;
    return 3_600_000;
  });
  loop.start();
  loop.start();
  expect(turns).toBe(1);
  loop.wake();
  loop.wake();
  gate.resolve();
  await expect.poll(() => turns).toBe(2);
  gate = Promise.withResolvers();
  loop.wake();
  await expect.poll(() => turns).toBe(3);
  const stopping = loop.stop();
  gate.resolve();
  await stopping;
  await loop.stop();
  expect([turns, running]).toEqual([3, 0]);
});

it('turns when it is due', async () => {
  let turns = 0;
  const loop = new WakeableLoop(async () => {
    turns += 1;
    return 1;
  });
  loop.start();
  await expect.poll(() => turns).toBeGreaterThan(3);
  await loop.stop();
});
