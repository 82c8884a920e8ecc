import { randomUUID } from 'node:crypto';
import { atLeast, type BenchOptions, type Figure, median } from '../figure.ts';
import { bareInsertSql, bareTableSql, listSql, senderIdSql, sendOneSql } from './ground.sql.ts';
import type { Ground } from './ground.ts';
import { statementLoop } from './pgbench.ts';

/** Each in turn, so that what disturbs the machine disturbs all of them. */
const rounds = 5;
const seconds = 3;
/** Two connections keep two cores busy; 2,000 gifts a list is where longer ones stop paying (ledger.md §3). */
const bulk = { connections: 2, list: 2000 };

/** One gift at a time and in lists, against the same bare INSERT. */
export async function intakeFigures(ground: Ground, { note }: BenchOptions): Promise<Figure[]> {
  await ground.pool.query(bareTableSql);
  const { rows } = await ground.pool.query<{ id: string }>(senderIdSql);
  const loop = statementLoop(ground.databaseUrl, JSON.stringify({ sub: rows[0]?.id }));
  note(`intake, ${loop.client}`);
  const lists =
    (await ground.pool.query<{ gifts: object[] }>(listSql, [bulk.list, ground.senders])).rows[0]?.gifts ?? [];
  const [bare, single, batched]: [number[], number[], number[]] = [[], [], []];
  for (let n = 0; n < rounds; n++) {
    bare.push(await loop.perSecond(bareInsertSql, seconds));
    single.push(await loop.perSecond(sendOneSql, seconds));
    batched.push(await inLists(ground, lists));
  }
  const against = `a bare single-row INSERT (primary key, unique uuid) by ${loop.client}, ${Math.round(median(bare)).toLocaleString('en')}/s`;
  return [
    atLeast(0.45, {
      figure: 'send_gift',
      value: median(single.map((perSecond, i) => perSecond / (bare[i] ?? Number.NaN))),
      unit: 'of the floor',
      against: `${against}; ours ${Math.round(median(single)).toLocaleString('en')}/s by the same`,
    }),
    atLeast(4, {
      figure: `send_gifts, lists of ${bulk.list}`,
      value: median(batched.map((perSecond, i) => perSecond / (bare[i] ?? Number.NaN))),
      unit: 'times',
      against: `${against}; ours ${Math.round(median(batched)).toLocaleString('en')}/s by node-postgres, ${bulk.connections} connections`,
    }),
  ];
}

async function inLists(ground: Ground, list: readonly object[]): Promise<number> {
  let gifts = 0;
  const beganMs = performance.now();
  const work = async () => {
    while (performance.now() - beganMs < seconds * 1000) {
      const text = JSON.stringify(list.map((gift) => ({ gift_id: randomUUID(), ...gift })));
      await ground.pool.query({ name: 'list', text: 'select send_gifts($1)', values: [text] });
      gifts += list.length;
    }
  };
  await Promise.all(Array.from({ length: bulk.connections }, work));
  return (gifts * 1000) / (performance.now() - beganMs);
}
