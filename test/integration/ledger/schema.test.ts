import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedger, clean } from '../database/ledger-audit.ts';
import { Provisioned, refusal } from '../database/provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const giftSql = 'select send_gift($1, $2, $3, $4) as gift';
const send = async (
  sender: string,
  stream: string,
  receiver: string,
  amount: number,
  id: string = randomUUID(),
) =>
  (await db.as('authenticated', sender, giftSql, [id, stream, receiver, amount]))[0].gift as {
    seq: number;
    status: string;
    duplicate: boolean;
  };
const settle = () => db.pool.query('select * from process_gift_ledger_batch()');

/** Tables that remember money, each with a real row in it. */
const tables = {
  gift_ledger: 'amount = amount + 1',
  gift_settlements: "status = 'failed', reason = 'x'",
  gift_reversals: "reason = 'never mind'",
  wallet_deposits: 'amount = amount + 1',
};

describe('append-only', () => {
  beforeAll(async () => {
    const { users, stream } = await db.realPeople(2, 100);
    const id = randomUUID();
    await send(users[0] ?? '', stream, users[1] ?? '', 10, id);
    await settle();
    await db.pool.query("select reverse_gift($1, 'wrong person')", [id]);
  });

  for (const [table, change] of Object.entries(tables)) {
    it(`${table} keeps every row, whatever its owner says`, async () => {
      const before = await db.pool.query(`select * from ${table}`);
      expect(before.rows.length).toBeGreaterThan(0);
      for (const sql of [
        `update ${table} set ${change}`,
        `update ${table} set run_id = 'x'`,
        `delete from ${table}`,
        `delete from ${table} where false`,
        `truncate ${table}`,
        `truncate ${table} restart identity cascade`,
        `truncate gift_batch_logs, ${table}`,
        `merge into ${table} t using (select 1) as x on true when matched then delete`,
        `with gone as (delete from ${table} returning 1) select count(*) from gone`,
      ]) {
        expect(await refusal(db.pool.query(sql)), sql).toBe('23001');
      }
      expect((await db.pool.query(`select * from ${table}`)).rows).toEqual(before.rows);
    });

    it(`${table} is not opened by the name of a run, nor by a superuser's replica role`, async () => {
      const session = await db.session();
      const forged = `begin; select set_config('trollfix.purging_run', 'x', true); delete from ${table}; commit`;
      expect(await refusal(session.query(forged))).toBe('23001');
      await session.query('rollback');
      const admin = new pg.Client(db.postgres.adminUrl);
      await admin.connect();
      await admin.query('set session_replication_role = replica');
      for (const sql of [
        `update public.${table} set ${change}`,
        `delete from public.${table}`,
        `truncate public.${table}`,
      ])
        expect(await refusal(admin.query(sql)), sql).toBe('23001');
      await admin.end();
    });
  }

  it('is noticed by this test for a table whose triggers are off', async () => {
    await db.pool.query('begin; alter table gift_reversals disable trigger user; commit');
    try {
      expect(
        await refusal(db.pool.query("update gift_reversals set reason = 'x' where false")),
      ).toBeUndefined();
    } finally {
      await db.pool.query(`alter table gift_reversals enable always trigger gift_reversals_refuse_change;
        alter table gift_reversals enable always trigger gift_reversals_refuse_real_rows`);
    }
    expect(await refusal(db.pool.query("update gift_reversals set reason = 'x' where false"))).toBe('23001');
  });

  it('leaves apps no way to write but the functions', async () => {
    for (const role of ['anon', 'authenticated', 'service_role'] as const) {
      for (const table of [...Object.keys(tables), 'gift_pending', 'wallets', 'gift_batch_logs']) {
        for (const sql of [
          `insert into ${table} default values`,
          `delete from ${table}`,
          `truncate ${table}`,
        ])
          expect(await refusal(db.as(role, randomUUID(), sql)), `${role}: ${sql}`).toBe('42501');
      }
    }
  });
});

describe('a gift id', () => {
  it('means one gift, whichever way it came in', async () => {
    const { users, stream } = await db.realPeople(3, 100);
    const [a, b, c] = users as [string, string, string];
    const id = randomUUID();
    const listed = (sender: string, receiver: string, amount: number) =>
      db.one<{ accepted: number; duplicates: number }>('select send_gifts($1)', [
        JSON.stringify(
          [1, 2].map(() => ({
            gift_id: id,
            sender_id: sender,
            receiver_id: receiver,
            stream_id: stream,
            amount,
          })),
        ),
      ]);
    expect(await listed(a, b, 5)).toEqual({ accepted: 1, duplicates: 1 });
    expect(await send(a, stream, b, 5, id)).toMatchObject({ duplicate: true, status: 'pending' });
    expect(await refusal(send(a, stream, b, 6, id))).toBe('23505');
    expect(await refusal(listed(a, c, 5))).toBe('23505');
    await settle();
    expect(await listed(a, b, 5)).toEqual({ accepted: 0, duplicates: 2 });
    expect(await send(a, stream, b, 5, id)).toMatchObject({ duplicate: true, status: 'settled' });
    expect(await db.one('select count(*)::int from gift_ledger where gift_id = $1', [id])).toBe(1);
    expect(await auditLedger(db)).toEqual(clean);
  });

  for (const end of ['commit', 'rollback']) {
    it(`that another session is just using is decided by its ${end}`, async () => {
      const { users, stream } = await db.realPeople(2, 100);
      const [a, b] = users as [string, string];
      const id = randomUUID();
      const first = await db.session();
      await first.query('begin');
      await first.query("select set_config('request.jwt.claims', $1, true)", [JSON.stringify({ sub: a })]);
      await first.query(giftSql, [id, stream, b, 7]);
      const second = send(a, stream, b, 7, id);
      await expect
        .poll(() => db.one('select count(*)::int from pg_locks where not granted'))
        .toBeGreaterThan(0);
      await first.query(end);
      expect(await second).toMatchObject({ duplicate: end === 'commit', status: 'pending' });
      expect(await db.one('select count(*)::int from gift_ledger where gift_id = $1', [id])).toBe(1);
      expect(await db.one('select count(*)::int from gift_pending where sender_id = $1', [a])).toBe(1);
    });
  }
});

describe('a list of gifts', () => {
  it('is refused by what is wrong with it, whole', async () => {
    const { users, stream } = await db.realPeople(2, 100);
    const [a, b] = users as [string, string];
    const gift = { gift_id: randomUUID(), sender_id: a, receiver_id: b, stream_id: stream, amount: 1 };
    const listed = (...gifts: object[]) =>
      refusal(db.pool.query('select send_gifts($1)', [JSON.stringify(gifts)]));
    const before = await db.one('select count(*) from gift_ledger');
    const good = () => ({ ...gift, gift_id: randomUUID() });
    expect(await listed(good(), { ...good(), receiver_id: a })).toBe('22023');
    expect(await listed(good(), { ...good(), stream_id: randomUUID() })).toBe('PT404');
    expect(await listed(good(), { ...good(), amount: 0 })).toBe('23514');
    expect(await listed(good(), { ...good(), amount: null })).toBe('23502');
    expect(await listed(good(), { ...good(), gift_id: null })).toBe('23502');
    expect(await listed(...Array.from({ length: 10_001 }, () => gift))).toBe('54000');
    expect(await db.one('select count(*) from gift_ledger')).toBe(before);
    expect(await listed()).toBeUndefined();
  });
});
