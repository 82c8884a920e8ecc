import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { liveKitAdmin } from '../../../../src/target/livekit/admin.ts';
import { enterRoom, type SignalDoor } from '../../../../src/target/livekit/signal-participant.ts';
import { enterByWhip } from '../../../../src/target/livekit/whip.ts';
import { type GateStage, startGateStage } from './gate-stage.ts';

let stage: GateStage;
beforeAll(async () => {
  stage = await startGateStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const publishing = { canPublish: true, canPublishData: true };

function enter(token: string, door: SignalDoor = { path: '/rtc' }, url = stage.gate.url) {
  return enterRoom({ url, token, door, clock: systemClock });
}

describe('a viewer who is not banned', () => {
  it.each(['/rtc', '/rtc/v1'] as const)('comes in by %s and holds a session', async (path) => {
    const { stream, users } = await stage.cast(1);
    const outcome = await enter(await stage.token({ room: stream, sub: users[0] ?? '' }), { path });
    expect(outcome).toMatchObject({ kind: 'joined', participant: { identity: users[0], canPublish: false } });
    if (outcome.kind !== 'joined') return;
    await expect.poll(() => outcome.participant.refreshToken()).not.toBeNull();
    const refreshed = outcome.participant.refreshToken() ?? '';
    // what LiveKit itself signs is let in as well
    const again = await enter(refreshed, { path });
    expect(again.kind).toBe('joined');
    if (again.kind === 'joined') await again.participant.close();
    await outcome.participant.close();
    await expect.poll(() => stage.gate.stats().open).toBe(0);
  });
});

describe('a speaker who is banned', () => {
  it('is cut, and no door opens any more, with any token', async () => {
    const { stream, users } = await stage.cast(1);
    const user = users[0] ?? '';
    await stage.sql('select grant_seat($1, $2)', [stream, user]);
    const token = await stage.token({ room: stream, sub: user }, publishing);
    await expect.poll(() => stage.table.standing(stream, user).seat).not.toBeNull();
    const outcome = await enter(token);
    expect(outcome.kind).toBe('joined');
    const alias = await enter(token, { path: '/rtc', publishAlias: 'x' });
    expect(alias).toMatchObject({ kind: 'joined', participant: { identity: `${user}#x` } });
    if (outcome.kind !== 'joined' || alias.kind !== 'joined') return;
    await expect.poll(() => alias.participant.refreshToken()).not.toBeNull();
    const tokens = [token, outcome.participant.refreshToken() ?? '', alias.participant.refreshToken() ?? ''];
    await stage.sql("select revoke_seat($1, $2, 'test')", [stream, user]);
    // nobody ejects here: the gate alone
    expect(await outcome.participant.left).toMatchObject({ kind: 'closed' });
    expect(await alias.participant.left).toMatchObject({ kind: 'closed' });
    const doors: SignalDoor[] = [
      { path: '/rtc' },
      { path: '/rtc/v1' },
      { path: '/rtc', publishAlias: 'y' },
      { path: '/rtc', resumeSid: outcome.participant.sid },
      { path: '/rtc/v1', resumeSid: outcome.participant.sid },
    ];
    for (const each of tokens) {
      for (const door of doors) {
        expect(await enter(each, door)).toMatchObject({ kind: 'refused', status: 403 });
      }
      expect(await enterByWhip(stage.gate.url, each)).toMatchObject({ kind: 'refused', status: 403 });
    }
    const admin = liveKitAdmin(stage.livekit.livekit);
    await expect.poll(() => admin.occupants(stream)).toHaveLength(0);
  });
});
