import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { decideAdmission } from '../../../../src/ops/guard/admission.ts';
import { createSeatTable } from '../../../../src/ops/guard/seat-table.ts';
import { Provisioned } from '../../database/provisioned.ts';
import { banWhileAway, wiredTable } from './table-stage.ts';

let db: Provisioned;
let runs = 0;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(() => db[Symbol.asyncDispose]());

async function cast(users: number) {
  const run = await db.run(`table-${++runs}`, users);
  return { ...run, stream: run.streams[0] ?? '', user: run.users[0] ?? '' };
}

const sql = (text: string, values: unknown[] = []) => db.pool.query(text, values);

describe('the seat table', () => {
  it('holds what was there before it, and hears of what comes after', async () => {
    const { stream, users } = await cast(3);
    const [speaker = '', listener = '', troll = ''] = users;
    await sql("select grant_seat($1, $2, 'speaker', true, now() + interval '1 hour')", [stream, speaker]);
    await sql("select grant_seat($1, $2, 'guest', false)", [stream, listener]);
    await sql("select revoke_seat($1, $2, 'test', now() + interval '1 hour')", [stream, troll]);
    await using wired = await wiredTable(db, createSeatTable);
    const { table } = wired;
    expect(table.standing(stream, speaker).current).toBe(false);
    expect(table.status()).toMatchObject({ ready: false, why: 'it has not been loaded yet' });
    await table.start();
    expect(table.status()).toMatchObject({ ready: true, why: null, loads: 1, connects: 1 });
    const inAnHour = Date.now() + 3_600_000;
    expect(table.standing(stream, speaker)).toEqual({
      current: true,
      ban: null,
      seat: { canPublish: true, expiresAtMs: expect.closeTo(inAnHour, -5) },
    });
    expect(table.standing(stream, listener)).toMatchObject({
      seat: { canPublish: false, expiresAtMs: null },
    });
    expect(table.standing(stream, troll)).toMatchObject({
      ban: { untilMs: expect.closeTo(inAnHour, -5) },
      seat: null,
    });

    const told: unknown[] = [];
    const stopListening = table.onChange((change) => told.push(change));
    await sql("select revoke_seat($1, $2, 'test')", [stream, speaker]);
    await sql("select grant_seat($1, $2, 'guest', true)", [stream, listener]);
    await sql('select restore_seat($1, $2)', [stream, troll]);
    await expect
      .poll(() => table.standing(stream, speaker))
      .toEqual({ current: true, ban: { untilMs: null }, seat: null });
    await expect
      .poll(() => table.standing(stream, listener))
      .toMatchObject({ current: true, seat: { canPublish: true } });
    await expect.poll(() => table.standing(stream, troll)).toEqual({ current: true, ban: null, seat: null });
    expect(told.flat()).toContainEqual({ streamId: stream, userId: speaker });
    expect(table.status().loads).toBe(1);
    stopListening();
  });

  it('knows all of 300 who are banned in one statement', async () => {
    const { stream, users } = await cast(300);
    await using wired = await wiredTable(db, createSeatTable);
    await wired.table.start();
    await sql("select revoke_seat($1, u, 'storm') from unnest($2::uuid[]) u", [stream, users]);
    const banned = () => users.filter((user) => wired.table.standing(stream, user).ban !== null).length;
    await expect.poll(banned).toBe(300);
    expect(users.every((user) => wired.table.standing(stream, user).current)).toBe(true);
  });

  it('goes by the clock of the database: this one is 70 s ahead', async () => {
    const clock = { now: () => Date.now() + 70_000, monotonicMs: systemClock.monotonicMs };
    const { stream, user } = await cast(1);
    await using wired = await wiredTable(db, createSeatTable, { clock });
    const { table } = wired;
    await table.start();
    expect(
      Math.abs(
        table.nowMs() - (await db.one<number>('select extract(epoch from clock_timestamp())::float8 * 1000')),
      ),
    ).toBeLessThan(5_000);
    await sql("select revoke_seat($1, $2, 'test', now() + interval '1500 ms')", [stream, user]);
    const reloads = table.status().loads;
    const video = { roomJoin: true, room: stream, canPublish: false };
    const admitted = () => {
      const claims = { sub: user, exp: table.nowMs() / 1000 + 60, video };
      return decideAdmission({ claims, table, nowMs: table.nowMs() }).admit;
    };
    await expect.poll(() => table.standing(stream, user).ban).not.toBeNull();
    const until = table.standing(stream, user).ban?.untilMs ?? 0;
    expect(admitted()).toBe(table.nowMs() >= until);
    // it ends by time: nobody tells
    await expect.poll(admitted).toBe(true);
    expect(table.nowMs()).toBeGreaterThanOrEqual(until);
    expect(table.status().loads).toBe(reloads);
  });

  it.each(['cut', 'freeze'] as const)(
    'a ban that is written while the feed is away (%s) holds before anything else does',
    async (trouble) => {
      const { stream, user } = await cast(1);
      await using wired = await wiredTable(db, createSeatTable);
      await wired.table.start();
      expect(wired.table.standing(stream, user)).toEqual({ current: true, ban: null, seat: null });
      expect(await banWhileAway(wired, db, { stream, user }, trouble)).toEqual(['ban']);
      expect(wired.table.status()).toMatchObject({ ready: true });
    },
  );

  it('is not current the moment its session is killed, and comes back', async () => {
    const { stream, user } = await cast(1);
    await using wired = await wiredTable(db, createSeatTable, { heartbeatMs: 60_000, staleAfterMs: 120_000 });
    const { table } = wired;
    await table.start();
    await sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trollfix-seat-table'",
    );
    await expect.poll(() => table.status().why).toBe('the connection to the database is lost');
    expect(table.standing(stream, user).current).toBe(false);
    await expect.poll(() => table.status()).toMatchObject({ ready: true, connects: 2, loads: 2 });
  });

  it('starts without a database, and without one that answers, and has it when it comes', async () => {
    const { stream, user } = await cast(1);
    await using wired = await wiredTable(db, createSeatTable);
    wired.wire.cut();
    await wired.table.start();
    expect(wired.table.standing(stream, user).current).toBe(false);
    expect(wired.table.status()).toMatchObject({ ready: false, loads: 0 });
    wired.wire.mend();
    await expect.poll(() => wired.table.status().ready).toBe(true);
  });

  it('does not mind what anybody else says on its channel', async () => {
    const { stream, user } = await cast(1);
    await using wired = await wiredTable(db, createSeatTable);
    const { table } = wired;
    await table.start();
    const payloads = [
      '',
      'x',
      '[]',
      'null',
      '{}',
      '{"stream_id":"x","user_id":5}',
      '{"stream_id":"\u0000'.slice(0, 13),
    ];
    for (const payload of payloads) await sql("select pg_notify('seat_changes', $1)", [payload]);
    await sql("select revoke_seat($1, $2, 'test')", [stream, user]);
    await expect
      .poll(() => table.standing(stream, user))
      .toMatchObject({ current: true, ban: { untilMs: null } });
    // who says nothing that can be read has everything looked at
    await expect.poll(() => table.status().loads).toBeGreaterThan(1);
    expect(table.status()).toMatchObject({ ready: true, connects: 1 });
  });

  it('does not know more than it has room for, and decides nothing then', async () => {
    const { stream, users } = await cast(12);
    await sql("select revoke_seat($1, u, 'test') from unnest($2::uuid[]) u", [stream, users]);
    await using wired = await wiredTable(db, createSeatTable, { rowsLimit: 10 });
    await wired.table.start();
    expect(wired.table.status()).toMatchObject({
      ready: false,
      why: 'there are more than 10 seats and bans',
      pairs: 10,
    });
    expect(wired.table.standing(stream, users[0] ?? '').current).toBe(false);
  });

  it('holds nothing of streams that have ended, so that old bans do not fill it', async () => {
    const { stream, users } = await cast(12);
    await sql("select revoke_seat($1, u, 'test') from unnest($2::uuid[]) u", [stream, users]);
    const user = users[0] ?? '';
    await using wired = await wiredTable(db, createSeatTable, { reloadMs: 200 });
    const { table } = wired;
    await table.start();
    expect(table.standing(stream, user).ban).not.toBeNull();
    const before = table.status().pairs;
    await sql("update streams set status = 'ended' where id = $1", [stream]);
    await expect.poll(() => table.status().pairs).toBe(before - users.length);
    expect(await table.refresh(stream, user, 10_000)).toBe(true);
    expect(table.standing(stream, user)).toEqual({ current: true, ban: null, seat: null });
    await sql("update streams set status = 'live' where id = $1", [stream]);
    await expect.poll(() => table.standing(stream, user).ban).not.toBeNull();
  });

  it('forgets who was purged, which nobody tells, at the next load', async () => {
    const { stream, user, runId } = await cast(1);
    await sql("select revoke_seat($1, $2, 'test')", [stream, user]);
    await using wired = await wiredTable(db, createSeatTable, { reloadMs: 200 });
    await wired.table.start();
    expect(wired.table.standing(stream, user).ban).not.toBeNull();
    await sql('select purge_run($1)', [runId]);
    await expect.poll(() => wired.table.standing(stream, user).ban).toBeNull();
  });

  it('leaves no session behind, and holds nothing for true any more', async () => {
    const wired = await wiredTable(db, createSeatTable);
    await wired.table.start();
    await wired.table.stop();
    await wired.table.stop();
    expect(wired.table.status()).toMatchObject({ ready: false, why: 'it was stopped' });
    const sessions =
      "select count(*)::int from pg_stat_activity where application_name = 'trollfix-seat-table'";
    await expect.poll(() => db.one(sessions)).toBe(0);
    await wired[Symbol.asyncDispose]();
  });
});
