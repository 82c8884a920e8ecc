import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideToken, liveKitClaims } from '../../../../src/app/token-policy.ts';
import { decideAdmission } from '../../../../src/ops/guard/admission.ts';
import type { Standing } from '../../../../src/ops/guard/seat-table.ts';

const nowMs = 1_800_000_000_000;
const nowS = nowMs / 1000;
const user = '0d5f2b7e-3f57-4c8a-9f0e-0a1b2c3d4e5f';
const stream = 'a2c4e6f8-1b3d-4f5a-8c7e-9d0b1a2c3e4f';

const free: Standing = { current: true, ban: null, seat: null };
const seated: Standing = { ...free, seat: { canPublish: true, expiresAtMs: null } };
const banned: Standing = { ...free, ban: { untilMs: null } };

const watching = {
  roomJoin: true,
  room: stream,
  canPublish: false,
  canSubscribe: true,
  canPublishData: false,
};
const speaking = { ...watching, canPublish: true, canPublishData: true };

function claimsOf(video: object = watching, changes: object = {}): Record<string, unknown> {
  return { iss: 'key', sub: user, nbf: nowS, exp: nowS + 60, video, ...changes };
}

function decide(
  claims: Record<string, unknown>,
  standing: Standing = free,
  options: { failOpen?: boolean } = {},
) {
  return decideAdmission({ claims, table: { standing: () => standing }, nowMs, ...options });
}

const outcome = (claims: Record<string, unknown>, standing?: Standing, options?: { failOpen?: boolean }) => {
  const decision = decide(claims, standing, options);
  return decision.admit ? 'admitted' : `${decision.status} ${decision.reason}`;
};

describe('who is let in', () => {
  it.each<[string, Record<string, unknown>, Standing, string]>([
    ['a viewer', claimsOf(), free, 'admitted'],
    ['a viewer with a seat', claimsOf(), seated, 'admitted'],
    ['a viewer who is banned', claimsOf(), banned, '403 banned'],
    ['a viewer whose ban is over', claimsOf(), { ...free, ban: { untilMs: nowMs } }, 'admitted'],
    [
      'a viewer whose ban has a millisecond left',
      claimsOf(),
      { ...free, ban: { untilMs: nowMs + 1 } },
      '403 banned',
    ],
    ['a speaker with a seat', claimsOf(speaking), seated, 'admitted'],
    ['a speaker without', claimsOf(speaking), free, '403 no_seat'],
    [
      'a speaker with a seat and a ban',
      claimsOf(speaking),
      { ...seated, ...banned, seat: seated.seat },
      '403 banned',
    ],
    [
      'a speaker whose seat lets nobody publish: a downgrade',
      claimsOf(speaking),
      { ...free, seat: { canPublish: false, expiresAtMs: null } },
      '403 no_seat',
    ],
    [
      'a speaker whose seat has run out this moment',
      claimsOf(speaking),
      { ...free, seat: { canPublish: true, expiresAtMs: nowMs } },
      '403 no_seat',
    ],
    [
      'a speaker with a millisecond left',
      claimsOf(speaking),
      { ...free, seat: { canPublish: true, expiresAtMs: nowMs + 1 } },
      'admitted',
    ],
  ])('%s', (_who, claims, standing, expected) => {
    expect(outcome(claims, standing)).toBe(expected);
  });
});

describe('what LiveKit takes for permission is permission', () => {
  it.each<[string, object, string]>([
    ['canPublish not set', { roomJoin: true, room: stream, canSubscribe: true }, '403 no_seat'],
    ['canPublish null', { ...watching, canPublish: null }, '403 no_seat'],
    ['canPublish of another type', { ...watching, canPublish: 0 }, '403 no_seat'],
    ['data only', { ...watching, canPublishData: true }, '403 no_seat'],
    ['data not set: it follows canPublish', { roomJoin: true, room: stream, canPublish: false }, 'admitted'],
    ['sources without canPublish', { ...watching, canPublishSources: ['camera'] }, 'admitted'],
  ])('%s', (_what, video, expected) => {
    expect(outcome(claimsOf(video))).toBe(expected);
    expect(outcome(claimsOf(video), seated)).toBe('admitted');
  });
});

describe('grants that no viewer or speaker needs', () => {
  it.each([
    ...['roomAdmin', 'roomCreate', 'roomList', 'roomRecord', 'ingressAdmin', 'hidden', 'recorder', 'agent'],
    ...['canUpdateOwnMetadata', 'canManageAgentSession', 'somethingNew'],
  ])('%s', (grant) => {
    expect(outcome(claimsOf({ ...speaking, [grant]: true }), seated)).toBe('403 hostile_grant');
    expect(outcome(claimsOf({ ...speaking, [grant]: 'yes' }), seated)).toBe('403 hostile_grant');
    expect(outcome(claimsOf({ ...speaking, [grant]: false }), seated)).toBe('admitted');
  });

  it.each<[string, object, string]>([
    ['a destination room', { video: { ...watching, destinationRoom: 'x' } }, '403 hostile_grant'],
    ['an empty destination room', { video: { ...watching, destinationRoom: '' } }, 'admitted'],
    ['a room configuration', { roomConfig: { agents: [] } }, '403 hostile_grant'],
    ['an empty room configuration', { roomConfig: {} }, '403 hostile_grant'],
    ['a room preset', { roomPreset: 'x' }, '403 hostile_grant'],
    ['telephony', { sip: { admin: true } }, '403 hostile_grant'],
    ['an agent', { kind: 'agent' }, '403 hostile_grant'],
    ['the kind that LiveKit writes itself', { kind: 'standard' }, 'admitted'],
    ['a claim LiveKit does not know', { app_metadata: { role: 'x' } }, 'admitted'],
  ])('%s', (_what, changes, expected) => {
    expect(outcome(claimsOf(watching, changes))).toBe(expected);
  });

  it('one hidden behind __proto__ gives nothing and takes nothing', () => {
    const claims: Record<string, unknown> = JSON.parse(
      JSON.stringify(claimsOf()).replace(
        '"video":{',
        '"video":{"__proto__":{"canPublish":true,"roomAdmin":true},',
      ),
    );
    expect(outcome(claims)).toBe('403 hostile_grant');
  });
});

describe('who the token speaks of', () => {
  it.each<[string, unknown, string]>([
    ['a user', user, 'admitted'],
    ['an alias', `${user}#x`, 'admitted'],
    ['an alias of an alias', `${user}#x#y`, 'admitted'],
    ['nobody', undefined, '403 not_a_user'],
    ['nothing', '', '403 not_a_user'],
    ['an alias of nobody', '#x', '403 not_a_user'],
    ['a number', 5, '403 not_a_user'],
    ['a user in capitals', user.toUpperCase(), '403 not_a_user'],
    ['a user with a blank behind', `${user} `, '403 not_a_user'],
    ['a user with a null byte', `${user}\0`, '403 not_a_user'],
    ['a user with a line behind', `${user}\n`, '403 not_a_user'],
    ['a name', 'ada', '403 not_a_user'],
  ])('%s', (_who, sub, expected) => {
    expect(outcome(claimsOf(watching, { sub }))).toBe(expected);
    // LiveKit falls back to the id of the token: the gate does not
    expect(outcome(claimsOf(watching, { sub, jti: user }))).toBe(expected);
  });

  it('an alias of somebody banned is banned, an alias of a speaker may speak', () => {
    const asked: string[] = [];
    const table = {
      standing: (streamId: string, userId: string) => {
        asked.push(`${streamId} ${userId}`);
        return userId === user && streamId === stream ? banned : free;
      },
    };
    const claims = claimsOf(watching, { sub: `${user}#x` });
    expect(decideAdmission({ claims, table, nowMs })).toMatchObject({ admit: false, reason: 'banned' });
    expect(asked).toEqual([`${stream} ${user}`]);
  });

  it.each<[string, object, string]>([
    ['no room', { roomJoin: true, canPublish: false }, '403 not_a_stream'],
    ['the room *', { ...watching, room: '*' }, '403 not_a_stream'],
    ['a room in capitals', { ...watching, room: stream.toUpperCase() }, '403 not_a_stream'],
    ['a list of rooms', { ...watching, room: [stream] }, '403 not_a_stream'],
    ['no join', { ...watching, roomJoin: false }, '401 no_join_grant'],
    ['join as text', { ...watching, roomJoin: 'true' }, '401 no_join_grant'],
  ])('%s', (_what, video, expected) => {
    expect(outcome(claimsOf(video))).toBe(expected);
  });

  it.each([[undefined], [null], ['x'], [[]], [5]])('video is %j', (video) => {
    expect(outcome({ ...claimsOf(), video })).toBe('401 no_join_grant');
  });
});

describe('when', () => {
  it.each<[string, object, string]>([
    ['exp 60 s ago: the leeway', { exp: nowS - 60 }, 'admitted'],
    ['exp 61 s ago', { exp: nowS - 61 }, '401 expired'],
    ['no exp', { exp: undefined }, '401 expired'],
    ['exp as text', { exp: String(nowS + 60) }, '401 expired'],
    ['exp infinite', { exp: Number.POSITIVE_INFINITY }, '401 expired'],
    ['nbf in 60 s: the leeway', { nbf: nowS + 60 }, 'admitted'],
    ['nbf in 61 s', { nbf: nowS + 61 }, '401 not_yet_valid'],
    ['iat in 61 s', { iat: nowS + 61 }, '401 not_yet_valid'],
    ['nbf as text', { nbf: 'now' }, '401 not_yet_valid'],
    ['neither nbf nor iat', { nbf: undefined }, 'admitted'],
    ['a year of life', { exp: nowS + 31_536_000 }, 'admitted'],
  ])('%s', (_what, changes, expected) => {
    expect(outcome(claimsOf(watching, changes))).toBe(expected);
  });
});

describe('while the table is not current', () => {
  const away = (standing: Standing): Standing => ({ ...standing, current: false });

  it('nobody comes in', () => {
    for (const standing of [free, seated]) {
      expect(outcome(claimsOf(), away(standing))).toBe('503 table_not_current');
      expect(outcome(claimsOf(speaking), away(standing))).toBe('503 table_not_current');
    }
  });

  it('failing open, everybody does who is not known to be banned and has an honest token', () => {
    expect(outcome(claimsOf(speaking), away(free), { failOpen: true })).toBe('admitted');
    expect(outcome(claimsOf(), away(banned), { failOpen: true })).toBe('403 banned');
    expect(outcome(claimsOf({ ...watching, roomAdmin: true }), away(free), { failOpen: true })).toBe(
      '403 hostile_grant',
    );
  });

  it('failing open changes nothing while it is', () => {
    expect(outcome(claimsOf(speaking), free, { failOpen: true })).toBe('403 no_seat');
  });
});

describe('whoever ends their own session', () => {
  it('may, banned or not, table or not, but only by a token of theirs', () => {
    const leave = (claims: Record<string, unknown>, standing: Standing) =>
      decideAdmission({ claims, table: { standing: () => standing }, nowMs, purpose: 'leave' });
    expect(leave(claimsOf(speaking), banned)).toMatchObject({ admit: true });
    expect(leave(claimsOf(speaking), { ...free, current: false })).toMatchObject({ admit: true });
    expect(leave(claimsOf(speaking, { exp: nowS - 100 }), free)).toMatchObject({ reason: 'expired' });
    expect(leave(claimsOf({ ...speaking, roomAdmin: true }), free)).toMatchObject({
      reason: 'hostile_grant',
    });
  });
});

describe('for any claims', () => {
  /** What an honest token has, mostly: else next to none would get as far as the table. */
  const mostly = (honest: unknown, other: fc.Arbitrary<unknown> = fc.jsonValue()) =>
    fc.oneof({ weight: 9, arbitrary: fc.constant(honest) }, { weight: 1, arbitrary: other });
  const video = fc.record(
    {
      roomJoin: mostly(true),
      room: mostly(stream),
      canPublish: fc.oneof(mostly(false), fc.constant(true)),
      canPublishData: mostly(false),
      canSubscribe: fc.jsonValue(),
      hidden: mostly(false),
      roomAdmin: mostly(''),
    },
    { requiredKeys: ['roomJoin', 'room'] },
  );
  const claims = fc.record(
    {
      sub: mostly(
        user,
        fc.string().map((alias) => `${user}#${alias}`),
      ),
      exp: mostly(nowS + 60),
      nbf: mostly(nowS),
      kind: mostly('standard'),
      video: fc.oneof({ weight: 9, arbitrary: video }, { weight: 1, arbitrary: fc.jsonValue() }),
    },
    { requiredKeys: ['sub', 'exp'] },
  );

  it('never throws, never lets a banned user in, never lets anybody publish without a seat', () => {
    let admitted = 0;
    fc.assert(
      fc.property(claims, (any) => {
        expect(outcome(any, banned)).not.toBe('admitted');
        const decision = decide(any, free);
        if (!decision.admit) return;
        admitted += 1;
        const granted = any.video as Record<string, unknown>; // or it would not have been let in
        expect(decision).toMatchObject({ streamId: stream, userId: user, publishes: false });
        expect(granted.canPublish).toBe(false);
        expect(granted.roomAdmin ?? false).toBeOneOf([false, '', []]);
      }),
      { numRuns: 2_000 },
    );
    // the property was put to the test
    expect(admitted).toBeGreaterThan(100);
  });

  it('whatever the token policy gives is let in, as long as the row it was given for stands', () => {
    const seat = fc.record({
      role: fc.constantFrom('host', 'speaker', 'guest'),
      can_publish: fc.boolean(),
      expires_at: fc.option(fc.integer({ min: 1, max: 1e7 }).map((ms) => new Date(nowMs + ms).toISOString())),
    });
    fc.assert(
      fc.property(fc.option(seat), (row) => {
        const decision = decideToken({
          claims: { role: 'authenticated', sub: user },
          request: { streamId: stream },
          context: {
            stream: { id: stream, room: stream, status: 'live' },
            profile: { username: 'ada', display_name: null, avatar_url: null },
            seat: row && { ...row, state: 'active' },
            ban: null,
          },
          nowMs,
        });
        if (!decision.allow) throw new Error(decision.message);
        const signed = JSON.parse(JSON.stringify(liveKitClaims(decision, 'key', nowS, 'id')));
        const standing: Standing = {
          ...free,
          seat: row && {
            canPublish: row.can_publish,
            expiresAtMs: row.expires_at === null ? null : Date.parse(row.expires_at),
          },
        };
        expect(outcome(signed, standing)).toBe('admitted');
        // and the seat is what lets a speaker in
        expect(outcome(signed, free)).toBe(row?.can_publish ? '403 no_seat' : 'admitted');
      }),
    );
  });
});
