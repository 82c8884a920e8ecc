import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Provisioned, refusal } from './provisioned.ts';

let db: Provisioned;
let runs = 0;
let user: string;
let stream: string;
beforeAll(async () => {
  db = await Provisioned.start();
});
beforeEach(async () => {
  const run = await db.run(`seats-${++runs}`, 2);
  [user, stream] = [run.users[1] ?? '', run.streams[0] ?? ''];
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const grant = (options = '') =>
  db.one<Record<string, unknown>>(`select to_jsonb(grant_seat($1, $2${options}))`, [stream, user]);
const revoke = (until: string | null = null, reason = 'spam') =>
  db.one<Record<string, unknown>>('select revoke_seat($1, $2, $3, $4, $5)', [
    stream,
    user,
    reason,
    until,
    'mod',
  ]);
const restore = () =>
  db.one<Record<string, unknown>>("select restore_seat($1, $2, 'mod', 'sorry')", [stream, user]);
const context = () =>
  db.one<Record<string, { [key: string]: unknown } | null>>('select livekit_token_context($1, $2)', [
    stream,
    user,
  ]);
const events = () =>
  db.one<string[]>(
    'select coalesce(array_agg(action order by id), $3) from seat_events where stream_id = $1 and user_id = $2',
    [stream, user, []],
  );
const openEjections = () =>
  db.one<string[]>(
    'select coalesce(array_agg(cause order by id), $3) from seat_ejections where stream_id = $1 and user_id = $2 and done_at is null',
    [stream, user, []],
  );

describe('seats', () => {
  it('are granted, revoked with a ban, refused while banned, and restored', async () => {
    expect(await grant()).toMatchObject({ state: 'active', role: 'speaker', can_publish: true });
    const first = await revoke();
    expect(first).toMatchObject({ seat_id: `${stream}:${user}`, until: null });
    expect(await revoke()).toEqual(first);
    expect(await openEjections()).toEqual(['revoked']);
    expect(await refusal(grant())).toBe('PT409');
    expect(await context()).toMatchObject({
      seat: { state: 'revoked' },
      ban: { reason: 'spam', until: null },
      stream: { room: stream, status: 'live' },
    });
    expect(await restore()).toMatchObject({ bans_lifted: 1, restored: true, seat: { state: 'active' } });
    expect(await context()).toMatchObject({ seat: { state: 'active' }, ban: null });
    expect(await openEjections()).toEqual([]);
    expect(await events()).toEqual(['granted', 'banned', 'revoked', 'ban_lifted', 'restored']);
  });

  it('need not exist for a ban', async () => {
    expect(await revoke()).toMatchObject({ seat_id: null, ban_id: expect.any(String) });
    expect(await openEjections()).toEqual(['banned']);
    expect(await restore()).toEqual({ bans_lifted: 1, restored: false, seat: null });
    expect(await context()).toMatchObject({ seat: null, ban: null });
  });

  it('change the ban when said again with another end, and eject again once the first was done', async () => {
    const first = await revoke();
    const later = await revoke('2999-01-01T00:00:00Z');
    expect(later.ban_id).toBe(first.ban_id);
    expect(later.until).toMatch(/^2999-01-01/);
    await db.pool.query('select complete_ejection($1)', [first.ejection_id]);
    const third = await revoke('2999-01-01T00:00:00Z');
    expect(third.ejection_id).not.toBe(first.ejection_id);
    expect(await events()).toEqual(['banned', 'ban_changed']);
  });

  it('come back by themselves when a ban for a time is over', async () => {
    await revoke('2999-01-01T00:00:00Z');
    await db.pool.query(
      "update stream_bans set created_at = now() - interval '2 h', expires_at = now() - interval '1 h' where stream_id = $1",
      [stream],
    );
    expect((await context()).ban).toBeNull();
    expect(await grant()).toMatchObject({ state: 'active' });
    expect((await revoke()).until).toBeNull();
    expect(
      await db.one('select count(*)::int from stream_bans where stream_id = $1 and user_id = $2', [
        stream,
        user,
      ]),
    ).toBe(2);
  });

  it('expire once, however many enforcers look', async () => {
    await grant(", p_expires_at => clock_timestamp() + interval '1 hour'");
    expect(await db.one('select count(*)::int from expire_due_seats()')).toBe(0);
    await db.pool.query("update stream_seats set expires_at = now() - interval '1 s' where stream_id = $1", [
      stream,
    ]);
    expect((await context()).seat).toMatchObject({ state: 'expired' });
    const found = await Promise.all(
      Array.from({ length: 4 }, () => db.pool.query('select * from expire_due_seats()')),
    );
    const rows = found.flatMap((result) => result.rows);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      user_id: user,
      room: stream,
      identity: user,
      cause: 'expired',
      done_at: null,
    });
    expect(await events()).toEqual(['granted', 'expired']);
  });

  it('that lose publishing ask for an ejection', async () => {
    await grant();
    await grant(', p_can_publish => false');
    expect(await openEjections()).toEqual(['downgraded']);
    expect(await events()).toEqual(['granted', 'downgraded']);
  });

  it('are refused for nobody, nowhere, the past and an ended stream', async () => {
    const nowhere = 'select grant_seat(gen_random_uuid(), $1)';
    expect(await refusal(db.pool.query(nowhere, [user]))).toBe('PT404');
    expect(await refusal(db.pool.query('select grant_seat($1, gen_random_uuid())', [stream]))).toBe('PT404');
    expect(await refusal(grant(", p_expires_at => now() - interval '1 s'"))).toBe('22023');
    expect(await refusal(revoke('2000-01-01T00:00:00Z'))).toBe('22023');
    expect(await refusal(grant(", p_role => 'king'"))).toBe('23514');
    await db.pool.query("update streams set status = 'ended' where id = $1", [stream]);
    expect(await refusal(grant())).toBe('PT409');
  });

  it('count failed ejections and keep them open', async () => {
    const { ejection_id: id } = await revoke();
    await db.pool.query("select complete_ejection($1, 'LiveKit is down')", [id]);
    const read = 'select attempts, last_error, done_at is not null as done from seat_ejections where id = $1';
    expect((await db.pool.query(read, [id])).rows).toEqual([
      { attempts: 1, last_error: 'LiveKit is down', done: false },
    ]);
    await db.pool.query('select complete_ejection($1)', [id]);
    expect((await db.pool.query(read, [id])).rows).toEqual([{ attempts: 2, last_error: null, done: true }]);
  });

  it('tell listeners at commit, not before', async () => {
    const listener = await db.session();
    const heard: unknown[] = [];
    listener.on('notification', ({ payload }) => heard.push(JSON.parse(payload ?? 'null')));
    await listener.query('listen seat_changes');
    const moderator = await db.session();
    await moderator.query('begin');
    await moderator.query("select revoke_seat($1, $2, 'spam')", [stream, user]);
    await listener.query('select 1');
    expect(heard).toEqual([]);
    await moderator.query('commit');
    await expect.poll(() => heard).toContainEqual({ stream_id: stream, user_id: user });
  });

  it('have events that nobody rewrites', async () => {
    await revoke();
    expect(await refusal(db.pool.query("update seat_events set actor = 'x'"))).toBe('23001');
    expect(await refusal(db.pool.query('delete from seat_events'))).toBe('23001');
    expect(await refusal(db.pool.query('truncate seat_events'))).toBe('23001');
  });

  it('of one person are decided one after the other', async () => {
    await Promise.all(Array.from({ length: 6 }, (_, i) => (i % 2 === 0 ? revoke() : restore())));
    expect(
      await db.one(
        'select count(*)::int from stream_bans where stream_id = $1 and user_id = $2 and lifted_at is null',
        [stream, user],
      ),
    ).toBeLessThanOrEqual(1);
  });
});
