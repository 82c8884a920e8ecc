import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { createGuard, type Guard } from '../../../../src/ops/guard/guard.ts';
import { mintSeatToken } from '../../../../src/ops/tokens.ts';
import { awaitEjection } from '../../../../src/probes/seat/victims.ts';
import { liveKitAdmin } from '../../../../src/target/livekit/admin.ts';
import { enterRoom } from '../../../../src/target/livekit/signal-participant.ts';
import { openDatabase } from '../../../../src/target/postgres/pool.ts';
import { startTestStack, type TestStack } from '../../harness/stack.ts';
import { LogRecorder } from './guard-stage.ts';

let stack: TestStack;
let guard: Guard | undefined;
beforeAll(async () => {
  stack = await startTestStack({ livekit: true, provision: true });
});
afterAll(async () => {
  await guard?.stop();
  await stack?.stop();
});

it('a guard without a connection to PostgreSQL hears by Realtime, reads and writes over REST, and keeps its gate', async () => {
  const log = new LogRecorder();
  const { livekit } = stack.target;
  if (livekit === undefined) throw new Error('the stack has LiveKit');
  const database = openDatabase(stack.env.DATABASE_URL);
  try {
    guard = createGuard({
      target: { ...stack.target, databaseUrl: undefined },
      source: 'realtime',
      gate: { host: '127.0.0.1', port: 0 },
      metrics: null,
      webhook: null,
      tripwires: 0,
      failOpen: false,
      reconcileEveryMs: 300,
      clock: systemClock,
      log,
    });
    await guard.start();
    const { rows } = await database.query<{ run: { users: { id: string }[]; streams: { id: string }[] } }>(
      "select public.create_synthetic_run('guard-realtime', 2) as run",
    );
    const [ada = '', bob = ''] = rows[0]?.run.users.map(({ id }) => id) ?? [];
    const streamId = rows[0]?.run.streams[0]?.id ?? '';
    const url = guard.urls.gate ?? '';
    const enter = async (userId: string) => {
      const minted = await mintSeatToken(database, livekit, { streamId, userId, nowMs: Date.now() });
      return enterRoom({ url, token: minted.token, door: { path: '/rtc' }, clock: systemClock });
    };
    /** A seat is known to the gate when Realtime has told of it, or at its next load: until then it is refused. */
    const seated = async (userId: string) => {
      await database.query('select public.grant_seat($1, $2)', [streamId, userId]);
      return pollUntil(
        async () => {
          const outcome = await enter(userId);
          return outcome.kind === 'joined' ? outcome : undefined;
        },
        { ms: 15_000, everyMs: 50, what: 'the gate to know the seat' },
      );
    };
    const [victim, holder] = [await seated(ada), await seated(bob)];
    await database.query("select public.revoke_seat($1, $2, 'spam', null, 'test')", [streamId, ada]);
    expect(await awaitEjection(victim.participant, 15_000)).toMatchObject({ ejected: true });
    await expect.poll(() => guard?.status().enforcer.outbox.pending).toBe(0);
    const open = 'select count(*)::int as open from public.seat_ejections where done_at is null';
    expect((await database.query(open)).rows).toEqual([{ open: 0 }]);
    const occupants = await liveKitAdmin(livekit).occupants(streamId);
    expect(occupants.map(({ identity }) => identity)).toEqual([bob]);
    expect(guard.status()).toMatchObject({ healthy: true, enforcer: { listening: true } });
    await holder.participant.close();
    expect(log.text).not.toMatch(/eyJ[\w-]{6,}/);
  } finally {
    await database.end();
  }
});
