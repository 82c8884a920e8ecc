import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import type { Guard } from '../../../../src/ops/guard/guard.ts';
import { awaitEjection } from '../../../../src/probes/seat/victims.ts';
import { enterRoom, type SignalParticipant } from '../../../../src/target/livekit/signal-participant.ts';
import { GuardChild } from './guard-child.ts';
import { GuardStage } from './guard-stage.ts';

// After each fault: no banned user in the room once two reconciliations were carried through (one may have been under
// way when the fault ended), and nobody else was put out.

let stage: GuardStage;
beforeAll(async () => {
  stage = await GuardStage.start();
});
afterAll(async () => stage?.[Symbol.asyncDispose]());
afterEach(async () => {
  vi.restoreAllMocks();
  expect(stage.log.text).not.toMatch(/eyJ[\w-]{6,}/);
  expect(stage.log.text).not.toContain(stage.seats.livekit.livekit.apiSecret.reveal());
  await stage.clear();
});

const alarmOf = (guard: Guard) => guard.status().alarms.join('; ');
const isInside = async (one: SignalParticipant) => (await Promise.race([one.left, null])) === null;

describe('LiveKit', () => {
  it('killed and started again: whoever was banned meanwhile and comes back first is put out', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    const guard = await stage.guard();
    const [adas, bobs] = [await stage.token(streamId, ada), await stage.token(streamId, bob)];
    await stage.join(adas);
    stage.seats.livekit.service.kill('SIGKILL');
    await cohort.revoke(streamId, [ada]);
    await expect.poll(() => alarmOf(guard)).toContain('LiveKit cannot be asked');
    expect(guard.status().healthy).toBe(false);
    expect(await stage.openEjections(ada)).toBe(1);

    await stage.seats.livekit.service.restart(AbortSignal.timeout(20_000));
    const intruder = await stage.join(adas);
    const holder = await stage.join(bobs, { url: guard.urls.gate ?? '' });
    await stage.reconciled(guard);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    expect(await awaitEjection(intruder, 5_000)).toMatchObject({ ejected: true });
    expect(await isInside(holder)).toBe(true);
    await expect.poll(() => stage.openEjections(ada)).toBe(0);
    await expect.poll(() => alarmOf(guard)).toBe('');
  });

  it('frozen: it is said, and what was due is done when it wakes', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    const guard = await stage.guard();
    const url = guard.urls.gate ?? '';
    const victim = await stage.join(await stage.token(streamId, ada), { url });
    const holder = await stage.join(await stage.token(streamId, bob), { url });
    stage.seats.livekit.service.kill('SIGSTOP');
    try {
      await cohort.revoke(streamId, [ada]);
      await expect.poll(() => alarmOf(guard)).toContain('LiveKit cannot be asked: no answer in time');
    } finally {
      stage.seats.livekit.service.kill('SIGCONT');
    }
    await stage.reconciled(guard);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    await expect.poll(() => isInside(victim)).toBe(false);
    expect(await isInside(holder)).toBe(true);
    await expect.poll(() => stage.openEjections(ada)).toBe(0);
  });
});

describe('the database', () => {
  it('down and back: nobody unknown is let in meanwhile, nobody is put out, and what came in past the gate is', async () => {
    const { cohort, streamId, ids } = await stage.people(3);
    const [ada = '', bob = '', cal = ''] = ids;
    const guard = await stage.guard();
    const url = guard.urls.gate ?? '';
    const [adas, bobs] = [await stage.token(streamId, ada), await stage.token(streamId, bob)];
    const holder = await stage.join(await stage.token(streamId, cal), { url });
    await cohort.revoke(streamId, [ada]);
    await expect.poll(() => stage.openEjections(ada)).toBe(0);
    stage.seats.postgres.service.kill('SIGKILL');
    try {
      await expect.poll(() => alarmOf(guard)).toContain('the database cannot be asked');
      const knock = (token: string) => enterRoom({ url, token, door: { path: '/rtc' }, clock: systemClock });
      expect(await knock(bobs)).toMatchObject({ kind: 'refused', status: 503 });
      expect(await knock(adas), 'a ban that is known holds').toMatchObject({ kind: 'refused', status: 403 });
      await stage.join(adas);
      expect(await isInside(holder)).toBe(true);
    } finally {
      await stage.seats.postgres.service.restart(AbortSignal.timeout(60_000));
    }
    // a reconciliation that asks the database fails until it is back
    await stage.reconciled(guard);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    expect(await isInside(holder)).toBe(true);
    await expect.poll(() => alarmOf(guard)).toBe('');
    const again = await stage.join(bobs, { url });
    expect(await isInside(again)).toBe(true);
    // and it hears of changes again
    await cohort.revoke(streamId, [bob]);
    expect(await awaitEjection(again, 10_000)).toMatchObject({ ejected: true });
  });
});

describe('the clock', () => {
  it('70 s ahead: LiveKit refuses the guard, which says why and does not keep asking', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    const victim = await stage.join(await stage.token(streamId, ada));
    const holder = await stage.join(await stage.token(streamId, bob));
    // as when somebody sets the clock: it goes on from there, timers and monotonic time as they did. Before the guard
    // signs its first token, for it keeps those for a while
    const now = Date.now;
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 70_000);
    const guard = await stage.guard();
    // to the second by an answer that says its own in whole seconds, and takes its time on a busy machine
    await expect
      .poll(() => alarmOf(guard))
      .toMatch(/clock of this machine is (6[5-9]|7[0-5]) s ahead of LiveKit's/);
    expect(stage.log.text).toContain('ALARM');
    await cohort.revoke(streamId, [ada]);
    const refusedPasses = guard.status().enforcer.failedPasses;
    await expect.poll(() => guard.status().enforcer.failedPasses).toBeGreaterThan(refusedPasses + 3);
    const { rows } = await stage.seats.database.query<{ attempts: number }>(
      'select attempts from public.seat_ejections where user_id = $1',
      [ada],
    );
    expect(rows, 'no attempt for each row is made while key or clock are refused').toEqual([{ attempts: 0 }]);
    expect(stage.log.lines.filter((line) => line.includes('ALARM'))).toHaveLength(1);
    expect(guard.status()).toMatchObject({ healthy: false, enforcer: { outbox: { pending: 1 } } });

    vi.restoreAllMocks();
    await stage.reconciled(guard);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    expect(await awaitEjection(victim, 5_000)).toMatchObject({ ejected: true });
    expect(await isInside(holder)).toBe(true);
    await expect.poll(() => stage.openEjections(ada)).toBe(0);
    await expect.poll(() => alarmOf(guard)).toBe('');
  });

  it('right, and the secret wrong: that is what the alarm says', async () => {
    const { target, livekit } = stage.seats;
    const wrong = { ...livekit.livekit, apiSecret: new Secret('another-secret-another-secret-another') };
    const guard = await stage.guard({ target: { ...target, livekit: wrong }, gate: null });
    await expect.poll(() => alarmOf(guard)).toContain('the API key or secret is not the one LiveKit has');
  });
});

describe('a guard', () => {
  it('killed between row and ejection: another one finishes', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    const victim = await stage.join(await stage.token(streamId, ada));
    const holder = await stage.join(await stage.token(streamId, bob));
    // a LiveKit that takes every request and answers none: the call is under way when the guard is killed
    const called = Promise.withResolvers<void>();
    const hole = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (text) => {
        if (text.includes('RemoveParticipant')) called.resolve();
      });
    });
    hole.listen(0, '127.0.0.1');
    await once(hole, 'listening');
    const { port } = hole.address() as AddressInfo; // it listens on TCP
    const { target } = stage.seats;
    const livekit = { ...stage.seats.livekit.livekit, url: `ws://127.0.0.1:${port}` };
    const first = await GuardChild.start({ ...target, livekit }, '/livez');
    try {
      await cohort.revoke(streamId, [ada]);
      await called.promise;
    } finally {
      await first.kill();
      hole.close();
    }
    expect(await stage.openEjections(ada)).toBe(1);
    expect(await isInside(victim)).toBe(true);

    const second = await stage.guard();
    expect(await awaitEjection(victim, 10_000)).toMatchObject({ ejected: true });
    await stage.reconciled(second);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    expect(await stage.openEjections(ada)).toBe(0);
    expect(await isInside(holder)).toBe(true);
  });

  it('told to end: finishes, says farewell and what it did, and tells no secret', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    await using guard = await GuardChild.start(stage.seats.target, '/healthz', ['--ndjson']);
    const token = await stage.token(streamId, ada);
    const victim = await stage.join(token, { url: guard.gateUrl });
    const holder = await stage.join(await stage.token(streamId, bob));
    await cohort.revoke(streamId, [ada]);
    expect(await awaitEjection(victim, 10_000)).toMatchObject({ ejected: true });
    await expect.poll(() => stage.openEjections(ada)).toBe(0);
    expect(await guard.end('SIGTERM'), 'terminated').toBe(143);
    const [, id] = /"id":"([^"]+)"/.exec(guard.output) ?? [];
    expect(id).toBeTruthy();
    const { rows } = await stage.seats.database.query('select id from public.guards');
    expect(rows.map((row) => row.id)).not.toContain(id);
    expect(guard.output).toContain(`"userId":"${ada}"`);
    expect(guard.output).not.toMatch(/eyJ[\w-]{6,}/);
    expect(guard.output).not.toContain(stage.seats.livekit.livekit.apiSecret.reveal());
    expect(await isInside(holder)).toBe(true);
  });
});
