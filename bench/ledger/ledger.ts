import type { BenchOptions, Figure } from '../figure.ts';
import { catchUpFigures } from './catch-up.ts';
import { contentionFigures } from './contention.ts';
import { feedFigures } from './feed.ts';
import { Ground } from './ground.ts';
import { intakeFigures } from './intake.ts';
import { leaderboardFigures } from './leaderboard.ts';
import { settlementFigures } from './settlement.ts';

/** On a server of its own with so many senders, so that no part leaves its gifts to the next. */
const onGround =
  (senders: number, part: (ground: Ground, options: BenchOptions) => Promise<Figure[]>) =>
  async (options: BenchOptions): Promise<Figure[]> => {
    await using ground = await Ground.start(senders);
    return await part(ground, options);
  };

const parts = {
  settlement: onGround(100_000, settlementFigures),
  intake: onGround(1000, intakeFigures),
  waiting: onGround(1000, contentionFigures),
  'catch-up': onGround(1000, catchUpFigures),
  leaderboard: leaderboardFigures,
  feed: feedFigures,
};

/**
 * The gift ledger's figures, each against a floor measured beside it, on a PostgreSQL 17 of its own with durability on:
 * about five minutes on two idle cores. With `full` the two that are stated for ten million gifts and five minutes are
 * measured so, about twelve.
 */
export async function benchLedger(options: BenchOptions): Promise<Figure[]> {
  const chosen = Object.entries(parts).filter(
    ([name]) => options.only === undefined || options.only === name,
  );
  if (chosen.length === 0)
    throw new Error(`the ledger has no part "${options.only}": ${Object.keys(parts).join(', ')}`);
  const figures: Figure[] = [];
  for (const [, part] of chosen) figures.push(...(await part(options)));
  return figures;
}
