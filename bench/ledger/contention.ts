import { sleep } from '../../src/kernel/clock.ts';
import { atMost, type BenchOptions, type Figure, median, quantile } from '../figure.ts';
import { senderIdSql, sendOneSql } from './ground.sql.ts';
import type { Ground } from './ground.ts';

/** Idle and during rounds in turn, as many times; the middle of the ratios counts. */
const pairs = 5;
const seconds = 2;
/** A gift every 10 ms from each of four: some 400 a second, the original's own load, at a fixed pace. */
const senders = { connections: 4, everyMs: 10 };
const batch = 10_000;
/** Taken in before the clock runs: more rounds than fit into two seconds, so that nothing but rounds is measured. */
const prepared = 20;

/** How much longer senders wait while rounds of 10,000 gifts are settled, one after the other. */
export async function contentionFigures(ground: Ground, { note }: BenchOptions): Promise<Figure[]> {
  note('send_gift while rounds run');
  const ratios: number[] = [];
  const [idleMs, busyMs]: [number[], number[]] = [[], []];
  let rounds = 0;
  for (let n = 0; n < pairs; n++) {
    await ground.feed(batch * prepared, 1000);
    await ground.tidy();
    await ground.checkpoint();
    // not counted: after a checkpoint each page is logged whole once, which would flatter the comparison
    await send(ground);
    idleMs.push(quantile(await send(ground), 0.99));
    const done = new AbortController();
    const settling = settleUntil(ground, done.signal);
    busyMs.push(quantile(await send(ground), 0.99));
    done.abort();
    rounds += await settling;
    ratios.push((busyMs.at(-1) ?? Number.NaN) / (idleMs.at(-1) ?? Number.NaN));
    while ((await ground.settle(50_000)).claimed > 0);
  }
  return [
    atMost(3, {
      figure: `send_gift p99 during ${rounds} rounds`,
      value: median(ratios),
      unit: 'times',
      against: `p99 when nothing is settled, ${median(idleMs).toFixed(1)} ms; during rounds ${median(busyMs).toFixed(1)} ms`,
    }),
  ];
}

/** @throws when the prepared gifts run out: the rest of the time would be measured against nothing */
async function settleUntil(ground: Ground, signal: AbortSignal): Promise<number> {
  let rounds = 0;
  for (; !signal.aborted; rounds++) {
    if ((await ground.settle(batch)).claimed < batch) throw new Error(`${rounds} rounds were over too soon`);
  }
  return rounds;
}

/** Milliseconds from when each gift was due until its answer: what one that is held up does to the next one counts too. */
async function send(ground: Ground): Promise<number[]> {
  const waitsMs: number[] = [];
  const { rows } = await ground.pool.query<{ id: string }>(senderIdSql);
  const claims = JSON.stringify({ sub: rows[0]?.id });
  const work = async (offset: number) => {
    const session = await ground.session();
    try {
      await session.query("select set_config('request.jwt.claims', $1, false)", [claims]);
      const beganMs = performance.now() + (offset * senders.everyMs) / senders.connections;
      for (let dueMs = beganMs; dueMs < beganMs + seconds * 1000; dueMs += senders.everyMs) {
        const early = dueMs - performance.now();
        if (early > 0) await sleep(early);
        await session.query({
          name: 'send',
          text: sendOneSql('$1::int'),
          values: [Math.floor(Math.random() * 1000)],
        });
        waitsMs.push(performance.now() - dueMs);
      }
    } finally {
      session.release(true);
    }
  };
  await Promise.all(Array.from({ length: senders.connections }, (_, i) => work(i)));
  return waitsMs;
}
