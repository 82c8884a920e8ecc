import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Provisioned, refusal } from './provisioned.ts';

let db: Provisioned;
let runs = 0;
let users: string[];
let user: string;
let stream: string;
beforeAll(async () => {
  db = await Provisioned.start();
});
beforeEach(async () => {
  const run = await db.run(`desk-${++runs}`, 6);
  users = run.users;
  [user, stream] = [users[1] ?? '', run.streams[0] ?? ''];
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const grant = (options = '') =>
  db.one<Record<string, unknown>>(`select to_jsonb(grant_seat($1, $2${options}))`, [stream, user]);
const extend = (until: string | null) =>
  db.one<Record<string, unknown>>("select to_jsonb(extend_seat($1, $2, $3, 'mod', 'encore'))", [
    stream,
    user,
    until,
  ]);
const downgrade = () =>
  db.one<{ seat: Record<string, unknown>; changed: boolean; ejection_id: number }>(
    "select downgrade_seat($1, $2, 'mod', 'noise')",
    [stream, user],
  );
const revoke = () => db.one<unknown>("select revoke_seat($1, $2, 'spam', null, 'mod')", [stream, user]);
const events = () =>
  db.one<string[]>(
    'select coalesce(array_agg(action order by id), $3) from seat_events where stream_id = $1 and user_id = $2',
    [stream, user, []],
  );
const open = () =>
  db.one<string[]>(
    'select coalesce(array_agg(cause order by id), $3) from seat_ejections where stream_id = $1 and user_id = $2 and done_at is null',
    [stream, user, []],
  );
const later = '2999-01-01T00:00:00Z';

describe('a seat', () => {
  it('is extended, once however often it is said, and never shortened', async () => {
    await grant(", p_expires_at => clock_timestamp() + interval '1 hour'");
    expect((await extend(later)).expires_at).toMatch(/^2999-01-01/);
    await extend(later);
    expect(await refusal(extend('2998-01-01T00:00:00Z'))).toBe('22023');
    expect((await extend(null)).expires_at).toBeNull();
    expect(await refusal(extend(later))).toBe('22023');
    expect(await events()).toEqual(['granted', 'extended', 'extended']);
    expect(await open()).toEqual([]);
  });

  it('that is lost, over or never was is neither extended nor downgraded', async () => {
    for (const change of [() => extend(later), downgrade]) expect(await refusal(change())).toBe('PT404');
    await grant(", p_expires_at => clock_timestamp() + interval '1 hour'");
    await db.pool.query("update stream_seats set expires_at = now() - interval '1 s' where stream_id = $1", [
      stream,
    ]);
    for (const change of [() => extend(later), downgrade]) expect(await refusal(change())).toBe('PT409');
    await revoke();
    for (const change of [() => extend(later), downgrade]) expect(await refusal(change())).toBe('PT409');
    expect(await events()).toEqual(['granted', 'banned', 'revoked']);
  });

  it('is downgraded: the right to publish goes, the seat stays, the room is told once at a time', async () => {
    await grant();
    const first = await downgrade();
    expect(first).toMatchObject({ changed: true, seat: { state: 'active', can_publish: false } });
    const again = await downgrade();
    expect(again).toMatchObject({ changed: false, ejection_id: first.ejection_id });
    expect(await open()).toEqual(['downgraded']);
    await db.pool.query('select complete_ejection($1)', [first.ejection_id]);
    const third = await downgrade();
    expect(third.changed).toBe(false);
    expect(third.ejection_id).not.toBe(first.ejection_id);
    expect(await events()).toEqual(['granted', 'downgraded']);
  });

  it('that is revoked while a downgrade waits is ejected, not downgraded', async () => {
    await grant();
    await downgrade();
    await revoke();
    expect(await open()).toEqual(['revoked']);
  });
});

describe('many revocations', () => {
  const revokeAll = (seats: object[]) =>
    db.pool.query<{ user_id: string; revocation: { ban_id: string; ejection_id: number } }>(
      "select * from revoke_seats($1, 'mod')",
      [JSON.stringify(seats)],
    );
  const bans = () => db.one<number>('select count(*)::int from stream_bans where stream_id = $1', [stream]);

  it('are one transaction, with one ban and one ejection for each', async () => {
    const seats = users.slice(1).map((id) => ({ stream_id: stream, user_id: id, reason: 'raid' }));
    const { rows } = await revokeAll([...seats, ...seats.slice(0, 1)]);
    expect(rows.map(({ user_id }) => user_id).sort()).toEqual(users.slice(1).sort());
    expect(new Set(rows.map(({ revocation }) => revocation.ban_id)).size).toBe(seats.length);
    const written =
      'select array[count(*), count(distinct xmin::text)]::int[] from seat_ejections where stream_id = $1';
    expect(await db.one(written, [stream])).toEqual([seats.length, 1]);
    expect(await bans()).toBe(seats.length);
  });

  it('are none when one of them cannot be', async () => {
    const missing = '00000000-0000-4000-8000-000000000000';
    const seats = [user, missing].map((id) => ({ stream_id: stream, user_id: id, reason: 'raid' }));
    expect(await refusal(revokeAll(seats))).toBe('PT404');
    expect(await bans()).toBe(0);
    expect(await refusal(db.pool.query(`select revoke_seats('{"a": 1}')`))).toBe('22023');
  });

  it('by two moderators at once do not lock each other out', async () => {
    const seats = users.slice(1).map((id) => ({ stream_id: stream, user_id: id, reason: 'raid' }));
    await Promise.all([revokeAll(seats), revokeAll([...seats].reverse())]);
    expect(await bans()).toBe(seats.length);
  });
});

describe('presence', () => {
  const touch = (ids: string[]) =>
    db.one<number>('select touch_seats($1)', [
      JSON.stringify(ids.map((id) => ({ stream_id: stream, user_id: id }))),
    ]);

  it('is noted for seats and bans, not for viewers, and goes with the run', async () => {
    await grant();
    await db.pool.query("select revoke_seat($1, $2, 'spam')", [stream, users[2]]);
    expect(await touch(users.slice(1, 4))).toBe(2);
    expect(await touch(users.slice(1, 4))).toBe(0);
    const age = "update seat_presence set last_seen_at = now() - interval '1 minute' where stream_id = $1";
    await db.pool.query(age, [stream]);
    expect(await touch([user])).toBe(1);
    await db.pool.query('select purge_run($1)', [`desk-${runs}`]);
    expect(await db.one('select count(*)::int from seat_presence where stream_id = $1', [stream])).toBe(0);
  });
});
