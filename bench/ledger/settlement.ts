import { withConnection } from '../../src/target/postgres/pool.ts';
import { atLeast, type BenchOptions, type Figure, median } from '../figure.ts';
import { type Ground, timed } from './ground.ts';
import { floorInputSql, floorSql, floorTablesSql, loopFunctionSql } from './settlement.sql.ts';

const batch = 10_000;
/** Odd, so that the median is one of them. The first round of each warms caches and is not counted. */
const rounds = { counted: 7, warmUp: 2 };
/** The loop takes most of a second a time, and varies little. */
const loops = 3;

/** Settlement against the same row counts written bare, and against a loop over the gifts; in turn, on one server. */
export async function settlementFigures(ground: Ground, { note }: BenchOptions): Promise<Figure[]> {
  await ground.pool.query(loopFunctionSql);
  const figures: Figure[] = [];
  for (const [senders, limit] of [
    [1000, 0.3],
    [100_000, 0.15],
  ] as const) {
    note(`settlement of ${batch} gifts from ${senders} senders`);
    await ground.pool.query(floorTablesSql);
    const [roundMs, floorMs]: [number[], number[]] = [[], []];
    for (let n = -rounds.warmUp; n < rounds.counted; n++) {
      await ground.feed(batch, senders);
      await ground.pool.query(floorInputSql);
      const ours = await timed(() => ground.settle(batch));
      const bare = await timed(() => floor(ground));
      if (n >= 0) {
        roundMs.push(ours);
        floorMs.push(bare);
      }
    }
    figures.push(
      atLeast(limit, {
        figure: `settlement, ${senders} senders, batch ${batch}`,
        value: median(floorMs) / median(roundMs),
        unit: 'of the floor',
        against: `bare INSERT + DELETE + UPDATE of the same rows, ${rate(median(floorMs))}; ours ${rate(median(roundMs))}`,
      }),
    );
    if (senders === 1000) figures.push(await loopFigure(ground, median(roundMs)));
    await ground.tidy();
  }
  return figures;
}

async function loopFigure(ground: Ground, roundMs: number): Promise<Figure> {
  const loopMs: number[] = [];
  for (let n = 0; n < loops; n++) {
    await ground.feed(batch, 1000);
    loopMs.push(await timed(() => ground.pool.query('select bench.settle_one_by_one($1)', [batch])));
  }
  return atLeast(6, {
    figure: `settlement, 1000 senders, batch ${batch}, by sets`,
    value: median(loopMs) / roundMs,
    unit: 'times',
    against: `a PL/pgSQL loop over the gifts, ${rate(median(loopMs))}`,
  });
}

function rate(ms: number): string {
  return `${Math.round((batch * 1000) / ms).toLocaleString('en')} gifts/s`;
}

/**
 * In one transaction, as a round is. Everything is in memory here, and told so the planner chooses the faster way to the
 * wallets for either number of them.
 */
async function floor(ground: Ground): Promise<void> {
  await withConnection(ground.pool, async (client) => {
    await client.query('begin; set local random_page_cost = 1.1');
    for (const sql of floorSql) await client.query(sql);
    await client.query('commit');
  });
}
