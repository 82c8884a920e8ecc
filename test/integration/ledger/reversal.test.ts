import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedger, clean } from '../database/ledger-audit.ts';
import { Provisioned, refusal } from '../database/provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

interface Reversal {
  readonly gift_id: string;
  readonly reversal_id: number;
  readonly seq: number;
  readonly status: string;
  readonly amount: number;
  readonly fee: number;
  readonly reason: string;
  readonly actor: string;
  readonly duplicate: boolean;
}

/** Takes the gift in as its sender would and gives its id. */
async function send(sender: string, stream: string, receiver: string, amount: number): Promise<string> {
  const id = randomUUID();
  await db.as('authenticated', sender, 'select send_gift($1, $2, $3, $4)', [id, stream, receiver, amount]);
  return id;
}
const settle = () => db.pool.query('select * from process_gift_ledger_batch(50000)');
const reverse = (
  id: string | null,
  reason: string | null = 'chargeback',
  actor: string | null = 'ops@test',
) => db.one<Reversal>('select reverse_gift($1, $2, $3)', [id, reason, actor]);
const balance = async (user: string) =>
  Number(await db.one('select balance from wallets where user_id = $1', [user]));
const board = async (scope: string) =>
  (
    await db.one<{ top: Array<{ user_id: string; total: number; gifts: number }> }>(
      'select get_leaderboard($1)',
      [scope],
    )
  ).top;
/** The refusal and what its detail says, as `gift reverse` shows it. */
const refused = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    ({ code, detail }: { code: string; detail?: string }) =>
      detail === undefined ? code : `${code} ${detail}`,
  );

describe('reverse_gift', () => {
  it('moves the coins back, fee included, and the boards follow', async () => {
    await db.pool.query('update gift_settings set fee_bps = 1000');
    const { users, stream } = await db.realPeople(3, 100);
    const [a, b, c] = users as [string, string, string];
    const taken = await send(a, stream, b, 50);
    await send(a, stream, b, 20);
    await send(c, stream, b, 30);
    await settle();
    expect(await balance(b)).toBe(100 + 45 + 18 + 27);
    const answer = await reverse(taken);
    expect(answer).toMatchObject({
      gift_id: taken,
      status: 'reversed',
      ...{ amount: 50, fee: 5, reason: 'chargeback', actor: 'ops@test', duplicate: false },
    });
    expect([await balance(a), await balance(b)]).toEqual([100 - 20, 100 + 18 + 27]);
    const day = await db.one<string>("select 'd:' || to_char(now() at time zone 'UTC', 'YYYY-MM-DD')");
    for (const scope of ['all', day, `s:${stream}`]) {
      expect(
        (await board(scope)).map(({ user_id, total }) => [user_id, total]),
        scope,
      ).toEqual([
        [c, 30],
        [a, 20],
      ]);
    }
    expect(await db.one('select status from gifts where gift_id = $1', [taken])).toBe('reversed');
    const lines = await db.pool.query(
      'select kind, amount::int from ledger_entries where gift_id = $1 order by kind',
      [taken],
    );
    expect(lines.rows).toEqual([
      { kind: 'credit', amount: 45 },
      { kind: 'debit', amount: -50 },
      { kind: 'fee', amount: 5 },
      { kind: 'reversal_credit', amount: 50 },
      { kind: 'reversal_debit', amount: -45 },
      { kind: 'reversal_fee', amount: -5 },
    ]);
    await db.pool.query('update gift_settings set fee_bps = 0');
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('happens once, however often and by however many it is asked for', async () => {
    const { users, stream } = await db.realPeople(2, 100);
    const [a, b] = users as [string, string];
    const id = await send(a, stream, b, 40);
    await settle();
    const answers = await Promise.all([1, 2, 3, 4].map((n) => reverse(id, `reason ${n}`)));
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(answers.map(({ reversal_id, reason }) => `${reversal_id} ${reason}`)).size).toBe(1);
    expect([await balance(a), await balance(b)]).toEqual([100, 100]);
    // the sender's own retry of the gift learns of it, and does not send it again
    const again = await db.as('authenticated', a, 'select send_gift($1, $2, $3, 40) as gift', [
      id,
      stream,
      b,
    ]);
    expect(again[0].gift).toMatchObject({ status: 'reversed', duplicate: true });
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('is refused for what is not settled, not there or not covered, and then nothing moves', async () => {
    const { users, stream } = await db.realPeople(3, 100);
    const [a, b, c] = users as [string, string, string];
    const [failed, spent] = [await send(a, stream, b, 500), await send(a, stream, b, 100)];
    await settle();
    await send(b, stream, c, 150);
    await settle();
    const pending = await send(c, stream, a, 1);
    expect(await refused(reverse(pending))).toBe('PT409 pending');
    expect(await refused(reverse(failed))).toBe('PT409 failed');
    expect(await refused(reverse(spent))).toBe('PT409 insufficient_funds');
    expect(await refused(reverse(randomUUID()))).toBe('PT404');
    expect(await refused(reverse(null))).toBe('22023');
    expect(await refused(reverse(pending, '  '))).toBe('22023');
    expect(await refused(reverse(pending, null))).toBe('22023');
    expect([await balance(a), await balance(b)]).toEqual([0, 50]);
    expect(await db.one('select count(*)::int from gift_reversals where sender_id = any($1)', [users])).toBe(
      0,
    );
    // once the receiver has the coins it goes through
    await db.pool.query("select deposit_coins(gen_random_uuid(), $1, 50, 'to cover a reversal')", [b]);
    expect(await reverse(spent)).toMatchObject({ duplicate: false });
    expect([await balance(a), await balance(b)]).toEqual([100, 0]);
    await settle();
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('brings onto a full list who was below it', async () => {
    const { users, stream } = await db.realPeople(103, 1_000);
    const [host, ...senders] = users as [string, ...string[]];
    const ids: string[] = [];
    for (const [i, sender] of senders.entries()) ids.push(await send(sender, stream, host, 500 - i));
    await settle();
    const before = (await board(`s:${stream}`)).map(({ user_id }) => user_id);
    expect(before).toEqual(senders.slice(0, 100));
    await reverse(ids[0] ?? '');
    expect((await board(`s:${stream}`)).map(({ user_id }) => user_id)).toEqual(senders.slice(1, 101));
    // somebody who is not listed loses a gift: the list stays
    await reverse(ids[101] ?? '');
    expect((await board(`s:${stream}`)).map(({ user_id }) => user_id)).toEqual(senders.slice(1, 101));
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('waits for a round in progress, and a round that meets it is busy', async () => {
    const { users, stream } = await db.realPeople(2, 100);
    const [a, b] = users as [string, string];
    const id = await send(a, stream, b, 10);
    await settle();
    const round = await db.session();
    await round.query('begin');
    await round.query('select trollfix.try_settlement_lock()');
    const reversal = reverse(id);
    await expect
      .poll(() => db.one("select count(*)::int from pg_locks where locktype = 'advisory' and not granted"))
      .toBe(1);
    await round.query('commit');
    expect(await reversal).toMatchObject({ duplicate: false });
    const reverser = await db.session();
    await reverser.query('begin');
    await reverser.query("select reverse_gift($1, 'again')", [id]);
    expect((await settle()).rows[0]).toMatchObject({ busy: true, claimed: 0 });
    await reverser.query('rollback');
  });

  it('leaves a row that nobody changes, and goes with its run only', async () => {
    const { users, streams, runId } = await db.run('reversed', 2, { balance: 100 });
    const id = await send(users[0] ?? '', streams[0] ?? '', users[1] ?? '', 10);
    const { users: real, stream } = await db.realPeople(2, 100);
    const realId = await send(real[0] ?? '', stream, real[1] ?? '', 10);
    await settle();
    await reverse(id);
    await reverse(realId);
    expect(await board(`run:${runId}`)).toEqual([]);
    for (const sql of [
      "update gift_reversals set reason = 'x'",
      'delete from gift_reversals',
      'truncate gift_reversals',
    ]) {
      expect(await refusal(db.pool.query(sql)), sql).toBe('23001');
    }
    const before = await db.one<number>('select count(*)::int from gift_reversals');
    expect(await db.one("select purge_run('reversed')")).toMatchObject({ gift_reversals: 1, gift_ledger: 1 });
    expect(await db.one('select count(*)::int from gift_reversals')).toBe(before - 1);
    expect(await auditLedger(db)).toEqual(clean);
  });

  it('is for the service role alone', async () => {
    for (const role of ['anon', 'authenticated'] as const) {
      expect(await refusal(db.as(role, randomUUID(), "select reverse_gift(gen_random_uuid(), 'x')"))).toBe(
        '42501',
      );
    }
    expect(await refusal(db.as('service_role', null, "select reverse_gift(gen_random_uuid(), 'x')"))).toBe(
      'PT404',
    );
  });
});
