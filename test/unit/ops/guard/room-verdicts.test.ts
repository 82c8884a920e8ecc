import { describe, expect, it } from 'vitest';
import type { PendingEjection, SeatFact } from '../../../../src/ops/guard/guard-store.ts';
import {
  judgePending,
  judgeRoom,
  judgeUser,
  stricter,
  usersOf,
} from '../../../../src/ops/guard/room-verdicts.ts';
import { tripwireAttribute } from '../../../../src/ops/guard/tripwire-mark.ts';
import type { Occupant } from '../../../../src/target/livekit/admin.ts';

const ada = '11111111-1111-4111-8111-111111111111';
const bob = '22222222-2222-4222-8222-222222222222';
const streamId = '99999999-9999-4999-8999-999999999999';

function occupant(identity: string, changes: Partial<Occupant> = {}): Occupant {
  return {
    ...{ identity, sid: `PA_${identity}`, state: 'JOINED', canPublish: true, canPublishData: true },
    ...{ canSubscribe: true, isPerson: true, attributes: {}, tracks: 0 },
    ...changes,
  };
}

function fact(userId: string, changes: Partial<SeatFact>): SeatFact {
  return { streamId, userId, ban: null, seat: null, ...changes };
}

const seat = (state: string, canPublish = true) => ({ state, canPublish, expiresAt: null });
const banned = { until: null };

describe('judgeUser', () => {
  const out = { userId: ada, mayWatch: false };
  const silence = { userId: ada, mayWatch: true, measure: 'silence' };
  const takeDown = { userId: ada, mayWatch: true, measure: 'remove' };
  it.each([
    ['banned, watching', fact(ada, { ban: banned }), false, out],
    ['banned with an active seat', fact(ada, { ban: banned, seat: seat('active') }), true, out],
    ['a holder', fact(ada, { seat: seat('active') }), true, null],
    ['downgraded, publishing', fact(ada, { seat: seat('active', false) }), true, silence],
    ['downgraded, watching', fact(ada, { seat: seat('active', false) }), false, null],
    ['expired, publishing', fact(ada, { seat: seat('expired') }), true, takeDown],
    ['revoked and the ban is over, publishing', fact(ada, { seat: seat('revoked') }), true, takeDown],
    ['revoked and the ban is over, watching', fact(ada, { seat: seat('revoked') }), false, null],
    ['no rows, publishing', undefined, true, silence],
    ['no rows, watching', undefined, false, null],
  ])('%s', (_what, known, publishes, expected) => {
    expect(judgeUser(ada, known, publishes)).toEqual(expected);
  });
});

describe('judgeRoom', () => {
  it('counts every alias as its user, and data as publishing', () => {
    const occupants = [
      occupant(ada, { canPublish: false, canPublishData: false }),
      occupant(`${ada}#x`, { canPublish: false }),
      occupant(bob),
    ];
    const facts = [fact(ada, { seat: seat('expired') }), fact(bob, { seat: seat('active') })];
    expect(judgeRoom(occupants, facts)).toEqual([{ userId: ada, mayWatch: true, measure: 'remove' }]);
  });

  it('leaves alone what is no user: recorders, other systems, tripwires', () => {
    const wire = { canPublish: false, canPublishData: false, canSubscribe: false };
    const occupants = [
      occupant(ada, { isPerson: false }),
      occupant('recorder-7'),
      occupant(bob, { ...wire, attributes: { [tripwireAttribute]: 'guard' } }),
    ];
    expect([...usersOf(occupants)]).toEqual([]);
    expect(judgeRoom(occupants, [fact(bob, { ban: banned })])).toEqual([]);
  });

  it('takes nobody for a tripwire who may watch', () => {
    const occupants = [occupant(bob, { attributes: { [tripwireAttribute]: 'I am one' } })];
    expect(judgeRoom(occupants, [fact(bob, { ban: banned })])).toEqual([{ userId: bob, mayWatch: false }]);
  });
});

describe('judgePending', () => {
  const row = (cause: string, isBanned: boolean, mayPublish: boolean): PendingEjection => ({
    ...{ id: '1', streamId, userId: ada, room: streamId, cause, createdAtMs: 0 },
    banned: isBanned,
    mayPublish,
  });
  it('does what is right by now, not what was when the row was written', () => {
    expect(judgePending(row('revoked', true, false))).toEqual({ userId: ada, mayWatch: false });
    expect(judgePending(row('revoked', false, true))).toBeNull();
    expect(judgePending(row('downgraded', true, false))).toEqual({ userId: ada, mayWatch: false });
    expect(judgePending(row('downgraded', false, true))).toBeNull();
    expect(judgePending(row('downgraded', false, false))).toMatchObject({ measure: 'silence' });
    expect(judgePending(row('expired', false, false))).toMatchObject({ mayWatch: true, measure: 'remove' });
  });

  it('of two judgements the stricter one counts, in either order', () => {
    const ranked = ['downgraded', 'expired', 'banned'].map((cause) => {
      const evictee = judgePending(row(cause, cause === 'banned', false));
      if (evictee === null) throw new Error('each has to go');
      return evictee;
    });
    const [silent, gone, out] = ranked as [(typeof ranked)[0], (typeof ranked)[0], (typeof ranked)[0]]; // three
    expect([stricter(silent, out), stricter(out, silent)]).toEqual([out, out]);
    expect([stricter(silent, gone), stricter(gone, silent)]).toEqual([gone, gone]);
    expect(stricter(undefined, silent)).toBe(silent);
  });
});
