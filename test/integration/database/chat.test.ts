import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Provisioned, refusal } from './provisioned.ts';

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const send = (who: string, stream: string, body: string, id = randomUUID()) =>
  db.as('authenticated', who, 'select * from send_chat_message($1, $2, $3)', [id, stream, body]);

describe('send_chat_message', () => {
  it('writes name and avatar of the profile and the run of the stream', async () => {
    const { users, streams } = await db.run('chat-1', 1);
    await db.pool.query(
      "update profiles set display_name = 'Ada', avatar_url = 'https://a/1.png' where id = $1",
      [users[0]],
    );
    const [row] = await send(users[0] ?? '', streams[0] ?? '', 'hello');
    expect(row).toMatchObject({
      body: 'hello',
      user_name: 'Ada',
      user_avatar: 'https://a/1.png',
      run_id: 'chat-1',
    });
  });

  it('refuses the second message within a second, per user and stream', async () => {
    const { users, streams } = await db.run('chat-2', 2, { streams: 2 });
    const [a, b] = users as [string, string];
    const [s, t] = streams as [string, string];
    expect(await refusal(send(a, s, '1'))).toBeUndefined();
    expect(await refusal(send(a, s, '2'))).toBe('PT429');
    expect(await refusal(send(a, t, '3'))).toBeUndefined();
    expect(await refusal(send(b, s, '4'))).toBeUndefined();
    // as if the second were over
    await db.pool.query("update chat_throttle set next_at = next_at - interval '1 second'");
    expect(await refusal(send(a, s, '5'))).toBeUndefined();
    expect(
      await db.one('select count(*)::int from chat_messages where stream_id = $1 and user_id = $2', [s, a]),
    ).toBe(2);
  });

  it('keeps to one per second in the long run, although jitter of 100 ms is let through', async () => {
    const { users, streams } = await db.run('chat-3', 1);
    const [a, s] = [users[0] ?? '', streams[0] ?? ''];
    await send(a, s, '1');
    // 0.95 s later: early by less than the tolerance
    await db.pool.query(
      "update chat_throttle set next_at = clock_timestamp() + interval '50 milliseconds' where user_id = $1",
      [a],
    );
    expect(await refusal(send(a, s, '2'))).toBeUndefined();
    // the early one did not gain anything: the next turn is a whole second after the one it was early for
    const aheadMs = await db.one<number>(
      'select (extract(epoch from next_at - clock_timestamp()) * 1000)::float8 from chat_throttle where user_id = $1',
      [a],
    );
    expect(aheadMs).toBeGreaterThan(900);
    await db.pool.query(
      "update chat_throttle set next_at = clock_timestamp() + interval '150 milliseconds' where user_id = $1",
      [a],
    );
    expect(await refusal(send(a, s, '3'))).toBe('PT429');
  });

  it('dates a message by its turn, so that what is stored shows the pace that was kept', async () => {
    const { users, streams } = await db.run('chat-turn', 1);
    const [a, s] = [users[0] ?? '', streams[0] ?? ''];
    await send(a, s, '1');
    expect(
      await db.one(
        `select t.next_at - m.created_at = interval '1 second' from chat_throttle t
         join chat_messages m using (stream_id, user_id) where m.user_id = $1`,
        [a],
      ),
    ).toBe(true);
  });

  it('lets exactly one of many that come at the same time through', async () => {
    const { users, streams } = await db.run('chat-4', 1);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) => refusal(send(users[0] ?? '', streams[0] ?? '', `${i}`))),
    );
    expect(outcomes.filter((code) => code === undefined)).toHaveLength(1);
    expect(outcomes.filter((code) => code === 'PT429')).toHaveLength(11);
  });

  it('answers the same message again with the same row, also when both come at once', async () => {
    const { users, streams } = await db.run('chat-5', 1);
    const [a, s, id] = [users[0] ?? '', streams[0] ?? '', randomUUID()];
    const rows = (await Promise.all([send(a, s, 'x', id), send(a, s, 'x', id), send(a, s, 'x', id)])).flat();
    expect(new Set(rows.map((row) => JSON.stringify(row))).size).toBe(1);
    expect(await send(a, s, 'x', id)).toHaveLength(1);
    expect(await refusal(send(a, s, 'y', id))).toBe('23505');
  });

  it('refuses the banned, strangers, ended and unknown streams, and bodies that are no message', async () => {
    const { users, streams } = await db.run('chat-6', 3);
    const [a, b] = users as [string, string];
    const [s] = streams as [string];
    await db.pool.query("select revoke_seat($1, $2, 'spam')", [s, b]);
    expect(await refusal(send(b, s, 'x'))).toBe('PT403');
    expect(await refusal(send(randomUUID(), s, 'x'))).toBe('PT403');
    expect(await refusal(send(a, randomUUID(), 'x'))).toBe('PT404');
    expect(await refusal(send(a, s, ''))).toBe('23514');
    expect(await refusal(send(a, s, 'x'.repeat(501)))).toBe('23514');
    expect(
      await refusal(db.as('anon', null, 'select send_chat_message(gen_random_uuid(), $1, $2)', [s, 'x'])),
    ).toBe('42501');
    await db.pool.query("update streams set status = 'ended' where id = $1", [s]);
    expect(await refusal(send(a, s, 'x'))).toBe('PT409');
    const { stream } = await db.realPeople(1, 1);
    expect(await refusal(send(a, stream, 'x'))).toBe('PT403');
  });

  it('shows messages to everybody but those banned from the stream', async () => {
    const { users, streams } = await db.run('chat-7', 2);
    const [a, b] = users as [string, string];
    const [s] = streams as [string];
    await send(a, s, 'x');
    const seenBy = async (who: string) =>
      (await db.as('authenticated', who, 'select 1 from chat_messages where stream_id = $1', [s])).length;
    expect([await seenBy(a), await seenBy(b)]).toEqual([1, 1]);
    await db.pool.query("select revoke_seat($1, $2, 'spam')", [s, b]);
    expect([await seenBy(a), await seenBy(b)]).toEqual([1, 0]);
  });
});
