import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedger, clean } from '../database/ledger-audit.ts';
import { Provisioned, refusal, type SyntheticRun } from '../database/provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

/** Gifts of `amounts` from the first of `users` to the second, in one list. */
async function send(users: readonly string[], stream: string, amounts: readonly number[]): Promise<string[]> {
  const ids = amounts.map(() => randomUUID());
  const gifts = amounts.map((amount, i) => ({
    ...{ gift_id: ids[i], sender_id: users[0], receiver_id: users[1], stream_id: stream, amount },
  }));
  await db.pool.query('select send_gifts($1)', [JSON.stringify(gifts)]);
  return ids;
}
const sendIn = (run: SyntheticRun, amounts: readonly number[]) =>
  send(run.users, run.streams[0] ?? '', amounts);
const settle = () => db.pool.query('select * from process_gift_ledger_batch(50000)');
const reverse = (id: string | undefined) => db.pool.query("select reverse_gift($1, 'test')", [id]);

/** Everything that is not of a run, as it is now: the world of real people. */
async function realWorld(): Promise<unknown> {
  return {
    gifts: (await db.pool.query('select * from gifts where run_id is null order by seq')).rows,
    reversals: (await db.pool.query('select * from gift_reversals where run_id is null order by seq')).rows,
    queue: (await db.pool.query('select * from gift_pending where run_id is null order by seq')).rows,
    wallets: (await db.pool.query('select * from wallets where run_id is null order by user_id')).rows,
    deposits: (await db.pool.query('select * from wallet_deposits where run_id is null order by id')).rows,
    days: (await db.pool.query('select * from leaderboard_days order by day, user_id')).rows,
    streams: (await db.pool.query('select * from leaderboard_streams order by stream_id, user_id')).rows,
    lists: (await db.pool.query("select * from leaderboard_top where scope not like 'run:%' order by scope"))
      .rows,
  };
}

describe('gifts of a load run', () => {
  it('count in no real board, though they are settled and reversed in the same rounds', async () => {
    const real = await db.realPeople(2, 1000);
    const run = await db.run('boards', 2, { balance: 1000 });
    await send(real.users, real.stream, [10, 20]);
    const [first] = await sendIn(run, [100, 200]);
    await send(real.users, real.stream, [30]);
    await settle();
    await reverse(first);
    const scopes = await db.pool.query('select scope, top from leaderboard_top order by scope');
    for (const { scope, top } of scopes.rows) {
      const totals = top.map(({ total }: { total: number }) => total);
      expect(totals, scope).toEqual(scope === 'run:boards' ? [200] : [60]);
    }
    expect(scopes.rows).toHaveLength(4);
    expect(
      await db.one('select count(*)::int from leaderboard_streams where user_id = any($1)', [run.users]),
    ).toBe(0);
    expect(
      await db.one('select count(*)::int from leaderboard_days where user_id = any($1)', [run.users]),
    ).toBe(0);
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('go by run id in every state, and the real ones beside them stay as they were, row by row', async () => {
    const real = await db.realPeople(2, 1000);
    const [gone, kept] = [
      await db.run('r1', 2, { balance: 1000 }),
      await db.run('r10', 2, { balance: 1000 }),
    ];
    const reversed: Array<string | undefined> = [];
    for (const give of [
      (amounts: number[]) => send(real.users, real.stream, amounts),
      (amounts: number[]) => sendIn(gone, amounts),
      (amounts: number[]) => sendIn(kept, amounts),
    ]) {
      // settled, failed, settled and to be taken back
      const ids = await give([10, 5000, 20]);
      reversed.push(ids[2]);
    }
    await settle();
    for (const id of reversed) await reverse(id);
    await send(real.users, real.stream, [1]);
    await sendIn(gone, [2, 3]);
    await sendIn(kept, [4]);
    const before = await realWorld();
    expect(await db.one("select purge_run('r1')")).toMatchObject({
      ...{ gift_pending: 2, gift_settlements: 3, gift_reversals: 1, gift_ledger: 5, wallets: 2 },
    });
    expect(await realWorld()).toEqual(before);
    // r10 is another run, though its name begins the same
    expect(await db.one("select count(*)::int from gift_ledger where run_id = 'r10'")).toBe(4);
    expect(await auditLedger(db)).toEqual(clean);
    await settle();
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('cannot be purged by a condition that reaches further: the trigger looks at every row that goes', async () => {
    const real = await db.realPeople(2, 100);
    const run = await db.run('wide', 2, { balance: 100 });
    await send(real.users, real.stream, [10]);
    await sendIn(run, [10]);
    await settle();
    const session = await db.session();
    for (const table of ['gift_ledger', 'gift_settlements', 'wallet_deposits']) {
      await session.query('begin');
      await session.query("select set_config('trollfix.purging_run', 'wide', true)");
      // only its own may go …
      expect(
        await refusal(session.query(`delete from ${table} where run_id = 'wide'`)),
        table,
      ).toBeUndefined();
      // … and one real row among them stops all of it
      expect(await refusal(session.query(`delete from ${table} where run_id is null`)), table).toBe('23001');
      await session.query('rollback');
    }
    await session.query('begin');
    await session.query("select set_config('trollfix.purging_run', 'wide', true)");
    expect(await refusal(session.query("update gift_ledger set run_id = 'wide'"))).toBe('23001');
    await session.query('rollback');
    expect(await db.one('select count(*)::int from gift_ledger where run_id is null')).toBeGreaterThan(0);
  });

  it('cannot be reversed once they are purged, and a purge waits for a reversal in progress', async () => {
    const run = await db.run('late', 2, { balance: 100 });
    const [id] = await sendIn(run, [10]);
    await settle();
    const reverser = await db.session();
    await reverser.query('begin');
    await reverser.query("select reverse_gift($1, 'just before')", [id]);
    const purge = db.one<Record<string, number>>("select purge_run('late')");
    await expect
      .poll(() => db.one('select count(*)::int from pg_locks where not granted'))
      .toBeGreaterThan(0);
    await reverser.query('commit');
    expect(await purge).toMatchObject({ gift_reversals: 1, gift_ledger: 1 });
    expect(await refusal(reverse(id))).toBe('PT404');
    expect(await auditLedger(db)).toEqual(clean);
  });
});
