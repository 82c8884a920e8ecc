import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../src/kernel/random.ts';
import { killsPerCycle, PlannedSender, plannedKills } from '../../integration/harness/ledger/workload.ts';

const world = { people: 6, streams: 2 };
const requests = (seed: number, n: number, listSize: number | null = null) => {
  const sender = new PlannedSender(new SeededRandom(seed).fork('sender'), world, [1, 2], listSize);
  return Array.from({ length: n }, () => sender.next());
};

const kills = (seed: number, n: number) => {
  const plan = plannedKills(new SeededRandom(seed));
  return Array.from({ length: n }, () => plan.next().value);
};

describe('the plan of a crash run', () => {
  it('follows from its seed', () => {
    expect(requests(7, 50)).toEqual(requests(7, 50));
    expect(requests(7, 50)).not.toEqual(requests(8, 50));
    expect(kills(7, 20)).toEqual(kills(7, 20));
    expect(kills(7, 20)).not.toEqual(kills(8, 20));
  });

  it('repeats about 15 % of what was sent, whole, and hangs up now and then', () => {
    const plan = requests(1, 4000, 5);
    const repeated = plan.filter((request) => request.repeated);
    expect(repeated.length / plan.length).toBeGreaterThan(0.12);
    expect(repeated.length / plan.length).toBeLessThan(0.18);
    for (const { gifts } of repeated) {
      const first = plan.find((request) => !request.repeated && request.gifts[0]?.id === gifts[0]?.id);
      expect(gifts).toEqual(first?.gifts);
    }
    expect(plan.filter(({ hangUpAfterMs }) => hangUpAfterMs !== null).length).toBeGreaterThan(50);
  });

  it('has new ids for new gifts, senders it plays, and receivers who are somebody else', () => {
    const gifts = requests(2, 1000, 5)
      .filter((request) => !request.repeated)
      .flatMap((request) => request.gifts);
    expect(new Set(gifts.map(({ id }) => id)).size).toBe(gifts.length);
    expect(new Set(gifts.map(({ sender }) => sender))).toEqual(new Set([1, 2]));
    expect(gifts.filter(({ sender, receiver }) => sender === receiver)).toEqual([]);
    expect(Math.max(...gifts.map(({ receiver }) => receiver))).toBeLessThan(world.people);
    expect(Math.min(...gifts.map(({ amount }) => amount))).toBeGreaterThan(0);
  });

  it('kills the server twice and a backend twice in every cycle, held rounds among them', () => {
    for (let seed = 0; seed < 20; seed++) {
      expect(
        kills(seed, killsPerCycle)
          .map(({ victim, at }) => `${victim} ${at}`)
          .sort(),
      ).toEqual(['backend leaderboard', 'backend wallets', 'server anywhere', 'server leaderboard']);
    }
  });
});
