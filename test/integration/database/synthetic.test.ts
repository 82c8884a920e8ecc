import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditLedger, clean } from './ledger-audit.ts';
import { Provisioned, refusal } from './provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

describe('synthetic runs', () => {
  it('are the same when made again, and give no coins twice', async () => {
    const first = await db.run('again', 20, { streams: 2, balance: 7 });
    expect(await db.run('again', 20, { streams: 2, balance: 7 })).toEqual(first);
    const more = await db.run('again', 25, { streams: 2, balance: 7 });
    expect(more.users.slice(0, 20)).toEqual(first.users);
    expect(await db.one("select sum(balance)::int from wallets where run_id = 'again'")).toBe(25 * 7);
    // strict parsers take the ids: version 8, variant 10xx
    for (const id of first.users)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect((await db.run('other', 20)).users).not.toEqual(first.users);
    expect(await refusal(db.run('no spaces', 1))).toBe('23514');
    expect(await refusal(db.run('none', 0))).toBe('22023');
  });

  it('vanish whole, and nothing else does', async () => {
    const real = await db.realPeople(3, 100);
    const keep = await db.run('keep', 3, { balance: 100 });
    const gone = await db.run('gone', 3, { balance: 100 });
    for (const { users, stream } of [
      real,
      ...[keep, gone].map((run) => ({ users: run.users, stream: run.streams[0] ?? '' })),
    ]) {
      const [a, b, c] = users as [string, string, string];
      await db.as('authenticated', a, 'select send_gift(gen_random_uuid(), $1, $2, 30)', [stream, b]);
      await db.pool.query('select * from process_gift_ledger_batch()');
      await db.as('authenticated', b, 'select send_gift(gen_random_uuid(), $1, $2, 30)', [stream, c]);
      await db.as('authenticated', a, "select send_chat_message(gen_random_uuid(), $1, 'hi')", [stream]);
      await db.pool.query('select grant_seat($1, $2)', [stream, b]);
      await db.pool.query("select revoke_seat($1, $2, 'x')", [stream, b]);
      await db.pool.query("select revoke_seat($1, $2, 'x')", [stream, c]);
    }
    const before = await counts();
    const removed = await db.one<Record<string, number>>("select purge_run('gone')");
    expect(removed).toEqual({
      ...{
        gift_pending: 1,
        gift_reversals: 0,
        gift_settlements: 1,
        gift_ledger: 2,
        wallet_deposits: 3,
        leaderboard_top: 1,
        chat_messages: 1,
      },
      ...{
        seat_ejections: 2,
        seat_events: 4,
        stream_bans: 2,
        stream_seats: 1,
        streams: 1,
        wallets: 3,
        profiles: 3,
      },
    });
    const after = await counts();
    for (const [table, n] of Object.entries(removed)) {
      expect(Number(before[table]) - Number(after[table]), table).toBe(n);
    }
    for (const table of Object.keys(before).filter((name) => !(name in removed))) {
      // of these the run had a row of its own
      const own = { synthetic_runs: 1, chat_throttle: 1 }[table] ?? 0;
      expect(Number(before[table]) - Number(after[table]), table).toBe(own);
    }
    const anything = await db.one(
      `select count(*)::int from gift_ledger where run_id = 'gone' or sender_id = any($1) or receiver_id = any($1)`,
      [gone.users],
    );
    expect(anything).toBe(0);
    await db.pool.query('call drain_gift_ledger()');
    expect(await auditLedger(db)).toEqual(clean);
    expect(await db.one<Record<string, number>>("select purge_run('gone')")).toMatchObject({
      profiles: 0,
      gift_ledger: 0,
    });
    expect(await refusal(db.pool.query("select purge_run('')"))).toBe('22004');
    expect(await refusal(db.pool.query('select purge_run(null)'))).toBe('22004');
  });

  it('leave nothing behind when gifts still arrive during the purge', async () => {
    const { users, streams } = await db.run('late', 2, { balance: 1000 });
    const [a, b] = users as [string, string];
    const inFlight = await db.session();
    await inFlight.query('begin');
    await inFlight.query('select send_gifts($1)', [
      JSON.stringify([
        {
          gift_id: '00000000-0000-4000-8000-00000000aaaa',
          sender_id: a,
          receiver_id: b,
          stream_id: streams[0],
          amount: 1,
        },
      ]),
    ]);
    const purge = db.one<Record<string, number>>("select purge_run('late')");
    // the purge waits for it; what comes after the purge finds no stream
    const after = refusal(
      db.as('authenticated', b, 'select pg_sleep(0.2), send_gift(gen_random_uuid(), $1, $2, 1)', [
        streams[0],
        a,
      ]),
    );
    await inFlight.query('commit');
    expect(await purge).toMatchObject({ gift_ledger: 1, gift_pending: 1 });
    expect(await after).toBe('PT404');
    expect(await db.one("select count(*)::int from gift_ledger where run_id = 'late'")).toBe(0);
  });

  it('make 10,000 users in one call', async () => {
    const { users } = await db.run('large', 10_000, { balance: 1 });
    expect(new Set(users).size).toBe(10_000);
    expect(await db.one<Record<string, number>>("select purge_run('large')")).toMatchObject({
      profiles: 10_000,
      wallets: 10_000,
    });
  });
});

async function counts(): Promise<Record<string, string>> {
  const { rows } = await db.pool.query(
    `select relname as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from public.%I', relname), false, true, '')))[1]::text as n
     from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
  );
  return Object.fromEntries(rows.map(({ name, n }) => [name, n]));
}
