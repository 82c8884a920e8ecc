import { expect, test } from 'vitest';
import { mapBounded } from '../../../src/kernel/bounded-map.ts';
import { sleep } from '../../../src/kernel/clock.ts';

test('results come in the order of the items, never more at once than allowed', async () => {
  let [running, most] = [0, 0];
  const doubled = await mapBounded([5, 1, 4, 2, 3], 2, async (n) => {
    most = Math.max(most, ++running);
    await sleep(n);
    running--;
    return n * 2;
  });
  expect(doubled).toEqual([10, 2, 8, 4, 6]);
  expect(most).toBe(2);
  expect(await mapBounded([], 2, () => Promise.reject(new Error('never called')))).toEqual([]);
});

test('after an error nothing is begun, and what was begun has ended when it is thrown', async () => {
  const [begun, ended]: [number[], number[]] = [[], []];
  const work = mapBounded([1, 2, 3, 4, 5, 6], 3, async (n) => {
    begun.push(n);
    if (n === 2) throw new Error('two');
    await sleep(10);
    ended.push(n);
  });
  await expect(work).rejects.toThrow('two');
  expect(begun).toEqual([1, 2, 3]);
  expect(ended).toEqual([1, 3]);
});
