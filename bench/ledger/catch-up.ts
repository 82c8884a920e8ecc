import { sleep } from '../../src/kernel/clock.ts';
import { giftBacklog } from '../../src/ops/gifts.ts';
import type { BenchOptions, Figure } from '../figure.ts';
import { type Ground, timed } from './ground.ts';

const backlog = 600_000;
/** What scheduled runs found within the hour before: a burst, and what 1,000 gifts a second make in 10 s. */
const runsBefore = [200_000, 10_000, 10_000, 10_000, 10_000];
/** Between the last two of them: the view takes what came in meanwhile for what goes on coming in. */
const quietMs = 5000;

/** A large backlog against the forecast that the health view made before the first gift of it was settled. */
export async function catchUpFigures(ground: Ground, { note }: BenchOptions): Promise<Figure[]> {
  note(`catch-up of ${backlog} gifts`);
  for (const [n, gifts] of runsBefore.entries()) {
    await ground.feed(gifts, 1000);
    if (n === runsBefore.length - 1) await sleep(quietMs);
    await drain(ground);
  }
  await ground.feed(backlog, 1000);
  const forecastS = (await giftBacklog(ground.pool)).health.secondsToDrain ?? Number.NaN;
  const [progress, watch] = follow(ground);
  const tookS = (await timed(() => drain(ground))) / 1000;
  await watch();
  const half = progress.find(({ claimed }) => claimed >= backlog / 2);
  const firstS = half?.atS ?? Number.NaN;
  const firstRate = (half?.claimed ?? Number.NaN) / firstS;
  const secondRate = (backlog - (half?.claimed ?? Number.NaN)) / (tookS - firstS);
  const within = (value: number) => value >= 0.7 && value <= 1.3;
  return [
    {
      figure: `catch-up of ${backlog} gifts, ${tookS.toFixed(1)} s`,
      value: tookS / forecastS,
      unit: 'times',
      against: `the forecast of gift_health before it began, ${forecastS.toFixed(1)} s, after runs of 10,000 to 200,000 gifts`,
      goal: '0.7 to 1.3',
      ok: within(tookS / forecastS),
    },
    {
      figure: `second half of the catch-up, ${Math.round(secondRate).toLocaleString('en')} gifts/s`,
      value: secondRate / firstRate,
      unit: 'times',
      against: `its first half, ${Math.round(firstRate).toLocaleString('en')} gifts/s`,
      goal: '0.7 to 1.3',
      ok: within(secondRate / firstRate),
    },
  ];
}

async function drain(ground: Ground): Promise<void> {
  await ground.pool.query("call drain_gift_ledger(600000, 'bench')");
}

interface Progress {
  readonly atS: number;
  readonly claimed: number;
}

/** Reads the log row of the run in progress, which every round writes to, ten times a second. */
function follow(ground: Ground): [readonly Progress[], () => Promise<void>] {
  const seen: Progress[] = [];
  const beganMs = performance.now();
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const { rows } = await ground.pool.query<Progress>(progressSql);
      const [row] = rows;
      if (row !== undefined && row.claimed > (seen.at(-1)?.claimed ?? 0)) seen.push(row);
      await sleep(100);
    }
  })();
  return [
    seen,
    async () => {
      stop.abort();
      await watching;
      if (seen.length === 0) throw new Error(`no progress was seen in ${performance.now() - beganMs} ms`);
    },
  ];
}

const progressSql = `
  select claimed::int, extract(epoch from last_round_at - started_at)::float8 as "atS"
  from public.gift_batch_logs where finished_at is null order by id desc limit 1`;
