import type pg from 'pg';
import { atMost, type BenchOptions, type Figure, median } from '../figure.ts';
import { Ground, timed } from './ground.ts';
import {
  boardSql,
  emptyTopSql,
  groupBySql,
  readTopSql,
  rebuildTopSql,
  settledGiftsSql,
} from './leaderboard.sql.ts';

const small = 1000;
/** The goal is stated for ten million gifts, which take some three minutes and 3 GB to make: only with --full. */
const large = { usual: 1_000_000, full: 10_000_000 };
/** Enough people for a full list on the small side too. */
const senders = 100_000;
const reads = 1000;

/** How long the cached list takes to read when the ledger is large, against a small one; reads of the two in turn. */
export async function leaderboardFigures({ full, note }: BenchOptions): Promise<Figure[]> {
  const gifts = full ? large.full : large.usual;
  note(`leaderboard over ${gifts} gifts`);
  await using little = await Ground.start(senders);
  await using big = await Ground.start(senders);
  await fill(little, small);
  await fill(big, gifts);
  const [littleSession, bigSession] = [await little.session(), await big.session()];
  const [littleMs, bigMs]: [number[], number[]] = [[], []];
  for (let n = 0; n < reads; n++) {
    littleMs.push(await timed(() => read(littleSession)));
    bigMs.push(await timed(() => read(bigSession)));
  }
  const scanMs = await timed(() => bigSession.query(groupBySql));
  return [
    atMost(1.3, {
      figure: `leaderboard read at ${gifts} gifts`,
      value: median(bigMs) / median(littleMs),
      unit: 'times',
      against: `the same at ${small} gifts, ${median(littleMs).toFixed(2)} ms; GROUP BY over the ${gifts} takes ${scanMs.toFixed(0)} ms`,
    }),
  ];
}

async function fill(ground: Ground, gifts: number): Promise<void> {
  await ground.pool.query(settledGiftsSql, [gifts, Math.min(senders, gifts)]);
  await ground.pool.query(boardSql);
  await ground.pool.query(emptyTopSql);
  await ground.pool.query(rebuildTopSql);
  await ground.tidy();
}

async function read(session: pg.PoolClient): Promise<void> {
  const { rows } = await session.query<{ board: { top: unknown[] } }>({ name: 'read', text: readTopSql });
  if (rows[0]?.board.top.length !== 100) throw new Error('the list that is read is not full');
}
