import { describe, expect, it } from 'vitest';
import { awaitEjection, judgeDeparture } from '../../../../src/probes/seat/victims.ts';

const atMs = 5;

describe('what counts as an ejection', () => {
  it.each(['PARTICIPANT_REMOVED', 'ROOM_DELETED'])('%s does', (reason) => {
    expect(judgeDeparture({ kind: 'leave', reason, action: 'DISCONNECT', atMs })).toEqual({
      ejected: true,
      atMs,
    });
  });

  it.each([
    ['the timeout of LiveKit itself', { kind: 'leave', reason: 'JOIN_FAILURE', action: 'DISCONNECT', atMs }],
    [
      'another session of the same user',
      { kind: 'leave', reason: 'DUPLICATE_IDENTITY', action: 'DISCONNECT', atMs },
    ],
    ['a server that shuts down', { kind: 'leave', reason: 'SERVER_SHUTDOWN', action: 'RECONNECT', atMs }],
    [
      'removed, but asked to come back',
      { kind: 'leave', reason: 'PARTICIPANT_REMOVED', action: 'RECONNECT', atMs },
    ],
    ['a server that died', { kind: 'closed', code: 1006, atMs }],
    ['a clean close without a word', { kind: 'closed', code: 1000, atMs }],
  ] as const)('%s does not', (_case, departure) => {
    expect(judgeDeparture(departure).ejected).toBe(false);
  });

  it('somebody who just stays is not ejected', async () => {
    const participant = {
      ...{ identity: 'a', sid: 'PA', serverVersion: '', canPublish: false, joinMs: 1 },
      refreshToken: () => null,
      left: new Promise<never>(() => {}),
      close: async () => {},
    };
    expect(await awaitEjection(participant, 20)).toEqual({ ejected: false, why: 'still in after 20 ms' });
  });
});
