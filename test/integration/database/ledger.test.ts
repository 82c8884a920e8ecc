import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedger, clean } from './ledger-audit.ts';
import { Provisioned, refusal } from './provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const sendGift = async (who: string, stream: string, to: string, amount: number, id = randomUUID()) => {
  const rows = await db.as('authenticated', who, 'select send_gift($1, $2, $3, $4) as answer', [
    id,
    stream,
    to,
    amount,
  ]);
  return rows[0].answer as {
    gift_id: string;
    seq: number;
    status: string;
    duplicate: boolean;
    amount: number;
  };
};
interface SentGift {
  readonly id?: string;
  readonly sender: string;
  readonly receiver: string;
  readonly amount: number;
}
const sendGifts = (gifts: readonly SentGift[], stream: string) =>
  db.one<{ accepted: number; duplicates: number }>('select send_gifts($1)', [
    JSON.stringify(
      gifts.map(({ id, sender, receiver, amount }) => ({
        gift_id: id ?? randomUUID(),
        sender_id: sender,
        receiver_id: receiver,
        stream_id: stream,
        amount,
      })),
    ),
  ]);
const batch = async (size = 1000) =>
  (await db.pool.query('select * from process_gift_ledger_batch($1)', [size])).rows[0] as {
    claimed: number;
    settled: number;
    failed: number;
    backlog: string;
    busy: boolean;
  };
const balance = async (user: string) =>
  Number(await db.one('select balance from wallets where user_id = $1', [user]));

describe('intake', () => {
  it('takes a gift once: the same again is the same answer, other contents are refused', async () => {
    const { users, streams } = await db.run('in-1', 3, { balance: 100 });
    const [a, b, c] = users as [string, string, string];
    const [s] = streams as [string];
    const id = randomUUID();
    const answers = await Promise.all([1, 2, 3, 4].map(() => sendGift(a, s, b, 10, id)));
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(answers.map(({ seq }) => seq)).size).toBe(1);
    expect(await refusal(sendGift(a, s, b, 11, id))).toBe('23505');
    expect(await refusal(sendGift(a, s, c, 10, id))).toBe('23505');
    expect(await refusal(sendGift(c, s, b, 10, id))).toBe('23505');
    await batch();
    expect(await sendGift(a, s, b, 10, id)).toMatchObject({ duplicate: true, status: 'settled' });
    expect(await balance(a)).toBe(90);
  });

  it('knows catalogue prices and refuses what is no gift', async () => {
    const { users, streams } = await db.run('in-2', 2, { balance: 100 });
    const [a, b] = users as [string, string];
    const [s] = streams as [string];
    const call = (args: string) =>
      db.as('authenticated', a, `select send_gift(gen_random_uuid(), ${args}) as answer`);
    expect((await call(`'${s}', '${b}', null, 'coffee'`))[0].answer).toMatchObject({ amount: 10 });
    expect(await refusal(call(`'${s}', '${b}', 9, 'coffee'`))).toBe('22023');
    expect(await refusal(call(`'${s}', '${b}', null, 'castle'`))).toBe('PT404');
    expect(await refusal(call(`'${s}', '${b}'`))).toBe('22023');
    expect(await refusal(call(`'${s}', '${b}', 0`))).toBe('22023');
    expect(await refusal(call(`'${s}', '${b}', -5`))).toBe('22023');
    expect(await refusal(call(`'${s}', '${a}', 1`))).toBe('22023');
    expect(await refusal(call(`'${s}', gen_random_uuid(), 1`))).toBe('PT404');
    expect(await refusal(call(`gen_random_uuid(), '${b}', 1`))).toBe('PT404');
    const { users: real, stream } = await db.realPeople(2, 10);
    expect(
      await refusal(call(`'${stream}', '${real[1]}', 1`)),
      'minted coins must not reach real people',
    ).toBe('PT409');
    expect(await refusal(call(`'${s}', '${real[1]}', 1`))).toBe('PT409');
    await db.pool.query("update streams set status = 'ended' where id = $1", [s]);
    expect(await refusal(call(`'${s}', '${b}', 1`))).toBe('PT409');
  });

  it('takes many at once in the order of the list, all or none', async () => {
    const { users, streams } = await db.run('in-3', 3);
    const [a, b, c] = users as [string, string, string];
    const [s] = streams as [string];
    const gifts = Array.from({ length: 300 }, (_, i) => ({
      id: randomUUID(),
      sender: i % 2 ? a : b,
      receiver: c,
      amount: i + 1,
    }));
    expect(await sendGifts(gifts, s)).toEqual({ accepted: 300, duplicates: 0 });
    expect(await sendGifts([...gifts.slice(0, 10), { sender: a, receiver: c, amount: 1 }], s)).toEqual({
      accepted: 1,
      duplicates: 10,
    });
    const { rows } = await db.pool.query(
      "select amount::int from gift_ledger where run_id = 'in-3' order by seq limit 300",
    );
    expect(rows.map(({ amount }) => amount)).toEqual(gifts.map(({ amount }) => amount));
    const other = gifts.slice(0, 1).map((gift) => ({ ...gift, amount: 999 }));
    const before = await db.one('select count(*) from gift_ledger');
    expect(await refusal(sendGifts([{ sender: a, receiver: c, amount: 5 }, ...other], s))).toBe('23505');
    expect(
      await refusal(
        sendGifts(
          [
            { sender: a, receiver: c, amount: 5 },
            { sender: a, receiver: randomUUID(), amount: 5 },
          ],
          s,
        ),
      ),
    ).toBe('PT404');
    expect(await db.one('select count(*) from gift_ledger')).toBe(before);
  });
});

describe('append-only', () => {
  for (const table of ['gift_ledger', 'gift_settlements', 'wallet_deposits']) {
    it(`${table} refuses every way of changing it, to its owner and to a superuser's replica role`, async () => {
      const { users, stream } = await db.realPeople(2, 50);
      await sendGift(users[0] ?? '', stream, users[1] ?? '', 5);
      await batch();
      const column = table === 'gift_settlements' ? 'reason' : 'run_id';
      for (const sql of [
        `update ${table} set ${column} = 'x'`,
        `delete from ${table}`,
        `truncate ${table}`,
        `delete from ${table} where false`,
      ]) {
        expect(await refusal(db.pool.query(sql)), sql).toBe('23001');
      }
      // the setting of purge_run alone opens nothing that is real
      const forged = `begin; select set_config('trollfix.purging_run', 'x', true); delete from ${table}; commit`;
      const session = await db.session();
      expect(await refusal(session.query(forged))).toBe('23001');
      await session.query('rollback');
      const admin = new pg.Client(db.postgres.adminUrl);
      await admin.connect();
      await admin.query('set session_replication_role = replica');
      expect(await refusal(admin.query(`delete from public.${table}`))).toBe('23001');
      await admin.end();
    });
  }

  it('wallets stay, and streams with gifts too', async () => {
    const { users, stream } = await db.realPeople(2, 50);
    await sendGift(users[0] ?? '', stream, users[1] ?? '', 5);
    expect(await refusal(db.pool.query('delete from wallets'))).toBe('23001');
    expect(await refusal(db.pool.query('delete from streams where id = $1', [stream]))).toBe('23503');
    expect(await refusal(db.pool.query('update wallets set balance = -1'))).toBe('23514');
  });
});

describe('settlement', () => {
  it('keeps real boards per day and stream, lists 100 at most, and leaves synthetic gifts out', async () => {
    const { users, stream } = await db.realPeople(130, 10_000);
    const gifts = Array.from({ length: 900 }, (_, i) => ({
      sender: users[(i * 7) % 130] ?? '',
      receiver: users[(i * 7 + 1) % 130] ?? '',
      amount: 1 + ((i * 13) % 50),
    }));
    await sendGifts(gifts.slice(0, 400), stream);
    await batch(150);
    await batch(5000);
    await sendGifts(gifts.slice(400), stream);
    await batch(5000);
    expect(await auditLedger(db)).toEqual(clean);
    expect(await db.one('select jsonb_array_length(get_leaderboard($1) -> $2)', [`s:${stream}`, 'top'])).toBe(
      100,
    );
    const [top] = (
      await db.one<{ top: Array<Record<string, unknown>> }>('select get_leaderboard($1)', [`s:${stream}`])
    ).top;
    expect(top).toMatchObject({ rank: 1, username: expect.stringMatching(/^real-/) });
    expect((await db.as('anon', null, "select get_leaderboard('nothing') as b"))[0].b).toEqual({
      scope: 'nothing',
      top: [],
      updated_at: null,
    });
    const days = await db.one(
      'select count(*)::int from leaderboard_days d join profiles p on p.id = d.user_id where p.run_id is not null',
    );
    expect(days).toBe(0);
  });

  it('fails a gift whose wallet is gone by name, instead of losing it', async () => {
    const { users, streams } = await db.run('gone', 2, { balance: 50 });
    await sendGift(users[0] ?? '', streams[0] ?? '', users[1] ?? '', 5);
    await db.pool.query(
      "begin; select set_config('trollfix.purging_run', 'gone', true); delete from wallets where user_id = '" +
        users[1] +
        "'; commit",
    );
    await batch();
    expect(await db.one("select reason from gifts where run_id = 'gone'")).toBe('no_wallet');
    expect(await balance(users[0] ?? '')).toBe(50);
    await db.pool.query("select purge_run('gone')");
  });

  it('by two drainers at once decides every gift once, in order', async () => {
    const { users, streams, runId } = await db.run('two', 50, { balance: 200 });
    const gifts = Array.from({ length: 6000 }, (_, i) => ({
      sender: users[i % 50] ?? '',
      receiver: users[(i * 3 + 1) % 50] ?? '',
      amount: 1 + ((i * 7) % 30),
    })).filter(({ sender, receiver }) => sender !== receiver);
    await sendGifts(gifts, streams[0] ?? '');
    const drainers = [await db.session(), await db.session()];
    await Promise.all(
      drainers.map((session, i) => session.query('call drain_gift_ledger(5000, $1)', [`drainer ${i}`])),
    );
    while ((await batch()).claimed > 0);
    expect(await auditLedger(db)).toEqual(clean);
    const settled = await db.one(
      "select count(*)::int from gifts where run_id = $1 and status <> 'pending'",
      [runId],
    );
    expect(settled).toBe(gifts.length);
    // a sender's gifts are decided in the order of seq: later rounds hold later gifts
    const inversions = await db.one(
      'select count(*)::int from (select batch_id, settled_at, lag(settled_at) over (partition by sender_id order by seq) as before from gifts where run_id = $1) g where settled_at < before',
      [runId],
    );
    expect(inversions).toBe(0);
  });
});
