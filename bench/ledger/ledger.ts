import type { BenchOptions, Figure } from '../figure.ts';
import { catchUpFigures } from './catch-up.ts';
import { contentionFigures } from './contention.ts';
import { feedFigures } from './feed.ts';
import { Ground } from './ground.ts';
import { intakeFigures } from './intake.ts';
import { leaderboardFigures } from './leaderboard.ts';
import { settlementFigures } from './settlement.ts';

/**
 * The gift ledger's figures, each against a floor measured beside it, on a PostgreSQL 17 of its own with durability on:
 * about five minutes on two idle cores. With `full` the two that are stated for ten million gifts and five minutes are
 * measured so, about twelve.
 */
export async function benchLedger(options: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  {
    await using ground = await Ground.start(100_000);
    figures.push(...(await settlementFigures(ground, options)));
  }
  {
    await using ground = await Ground.start(1000);
    figures.push(...(await intakeFigures(ground, options)));
  }
  {
    await using ground = await Ground.start(1000);
    figures.push(...(await contentionFigures(ground, options)), ...(await catchUpFigures(ground, options)));
  }
  figures.push(...(await leaderboardFigures(options)), ...(await feedFigures(options)));
  return figures;
}
