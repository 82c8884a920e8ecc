import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../../src/kernel/log.ts';
import { drainGifts } from '../../../src/ops/gifts.ts';
import { createSettler, type SettlerRun } from '../../../src/ops/settler.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { Provisioned, type SyntheticRun } from '../database/provisioned.ts';
import { TransactionPooler } from './transaction-pooler.ts';

let db: Provisioned;
let run: SyntheticRun;
beforeAll(async () => {
  db = await Provisioned.start();
  run = await db.run('pooled', 10, { balance: 1_000_000 });
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const feed = (n: number) =>
  db.pool.query('select send_gifts($1)', [
    JSON.stringify(
      Array.from({ length: n }, (_, i) => ({
        ...{ gift_id: randomUUID(), stream_id: run.streams[0], amount: 1 },
        ...{ sender_id: run.users[i % 10], receiver_id: run.users[(i + 1) % 10] },
      })),
    ),
  ]);

/** Backends that ran a drain, as the log has them. */
const backends = () => db.one<number>('select count(distinct backend_pid)::int from gift_batch_logs');

it('a settler behind a transaction pooler reports its own runs, though each statement is another backend’s', async () => {
  await using pooler = await TransactionPooler.start(db.postgres.databaseUrl, 3);
  await feed(300);
  const runs: SettlerRun[] = [];
  const settler = createSettler({
    databaseUrl: pooler.url,
    everyMs: 20,
    log: silentLogger,
    onRun: (one) => runs.push(one),
  });
  settler.start();
  await expect.poll(() => runs.length).toBeGreaterThan(0);
  await feed(70);
  await expect.poll(() => runs.reduce((sum, { claimed }) => sum + claimed, 0)).toBe(370);
  await settler.stop();
  expect(settler.status()).toMatchObject({ disconnects: 0, lastError: null });
  for (const one of runs) expect(one).toMatchObject({ failed: 0, stopReason: 'empty', backlog: 0 });
  expect(await db.one('select sum(claimed)::int from gift_batch_logs')).toBe(370);
  expect(await backends()).toBeGreaterThan(1);
});

it('so does a drain', async () => {
  await using pooler = await TransactionPooler.start(db.postgres.databaseUrl, 3);
  await feed(4000);
  const pool = openDatabase(pooler.url, { max: 1 });
  try {
    expect(await drainGifts(pool)).toMatchObject({
      claimed: 4000,
      settled: 4000,
      backlog: 0,
      stoppedBy: 'empty',
    });
    expect(pooler.transactions).toBeGreaterThanOrEqual(2);
  } finally {
    await pool.end();
  }
});
