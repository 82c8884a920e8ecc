import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  callerUserId,
  decideToken,
  liveKitClaims,
  requestedStreamId,
  type TokenContext,
  type TokenDecision,
} from '../../../src/app/token-policy.ts';

const stream = '11111111-1111-4111-8111-111111111111';
const otherStream = '22222222-2222-4222-8222-222222222222';
const user = '33333333-3333-4333-8333-333333333333';
const otherUser = '44444444-4444-4444-8444-444444444444';
const nowMs = Date.parse('2026-11-24T12:00:00Z');

const viewer: TokenContext = {
  stream: { id: stream, room: stream, status: 'live' },
  profile: { username: 'ada', display_name: 'Ada', avatar_url: 'https://example.com/a.png' },
  seat: null,
  ban: null,
};
const speakerSeat = {
  role: 'speaker',
  can_publish: true,
  state: 'active',
  expires_at: null,
  granted_at: '2026-11-24T11:00:00Z',
};
const claims = { role: 'authenticated', sub: user };

function decide(context: Partial<TokenContext> = {}, request: unknown = { streamId: stream }): TokenDecision {
  return decideToken({ claims, request, context: { ...viewer, ...context }, nowMs });
}

function payloadOf(decision: TokenDecision) {
  if (!decision.allow) throw new Error(`refused: ${decision.code}`);
  return liveKitClaims(decision, 'devkey', nowMs / 1000);
}

describe('what a token holds', () => {
  it('lets a viewer without a seat watch and nothing else, every flag explicit', () => {
    expect(payloadOf(decide())).toEqual({
      iss: 'devkey',
      sub: user,
      name: 'Ada',
      iat: nowMs / 1000,
      nbf: nowMs / 1000,
      exp: nowMs / 1000 + 60,
      video: {
        roomJoin: true,
        room: stream,
        canPublish: false,
        canSubscribe: true,
        canPublishData: false,
        canUpdateOwnMetadata: false,
      },
      attributes: { role: 'viewer', avatar: 'https://example.com/a.png' },
    });
  });

  it('lets a seat publish as its row says, sources named', () => {
    expect(payloadOf(decide({ seat: speakerSeat })).video).toEqual({
      roomJoin: true,
      room: stream,
      canPublish: true,
      canSubscribe: true,
      canPublishData: true,
      canUpdateOwnMetadata: false,
      canPublishSources: ['camera', 'microphone'],
    });
    const muted = payloadOf(decide({ seat: { ...speakerSeat, can_publish: false } })).video;
    expect(muted.canPublish).toBe(false);
    expect(muted.canPublishData).toBe(false);
    expect(muted).not.toHaveProperty('canPublishSources');
    const host = payloadOf(decide({ seat: { ...speakerSeat, role: 'host' } })).video;
    expect(host.canPublishSources).toContain('screen_share');
  });

  it('counts the time in the seat row, not the sweep that has yet to come', () => {
    const past = { ...speakerSeat, expires_at: '2026-11-24T11:59:59Z' };
    expect(payloadOf(decide({ seat: past })).video.canPublish).toBe(false);
    const garbled = { ...speakerSeat, expires_at: 'soon' };
    expect(payloadOf(decide({ seat: garbled })).video.canPublish).toBe(false);
    const soon = payloadOf(decide({ seat: { ...speakerSeat, expires_at: '2026-11-24T12:00:20Z' } }));
    expect(soon.video.canPublish).toBe(true);
    expect(soon.exp - soon.iat).toBe(20);
  });

  it.each(['revoked', 'expired', 'pending', ''])('gives no publishing for a seat that is "%s"', (state) => {
    expect(payloadOf(decide({ seat: { ...speakerSeat, state } })).video.canPublish).toBe(false);
  });

  it('carries an id for the audit trail when one is given', () => {
    const decision = decide();
    if (!decision.allow) throw new Error('refused');
    expect(liveKitClaims(decision, 'k', 1.9, 'abc')).toMatchObject({ jti: 'abc', iat: 1, exp: 61 });
  });
});

describe('who gets none', () => {
  const banned = { reason: 'spam', until: null };

  it('refuses a banned user even with an active seat', () => {
    expect(decide({ ban: banned, seat: speakerSeat })).toMatchObject({ status: 403, code: 'banned' });
    expect(decide({ ban: { reason: null, until: '2026-11-24T12:00:01Z' } })).toMatchObject({
      code: 'banned',
    });
    expect(decide({ ban: { reason: null, until: 'no time' } })).toMatchObject({ code: 'banned' });
    expect(decide({ ban: { reason: null, until: '2026-11-24T12:00:00Z' } }).allow).toBe(true);
  });

  it('refuses unknown, other and ended streams, and users without a profile', () => {
    expect(decide({ stream: null })).toMatchObject({ status: 404, code: 'stream_not_found' });
    const elsewhere = { id: otherStream, room: otherStream, status: 'live' };
    expect(decide({ stream: elsewhere })).toMatchObject({ code: 'stream_not_found' });
    expect(decide({ stream: { id: stream, room: stream, status: 'ended' } })).toMatchObject({
      code: 'stream_ended',
    });
    expect(decide({ profile: null })).toMatchObject({ status: 403, code: 'no_profile' });
  });

  it.each(['', '*'])('refuses a stream whose room is "%s"', (room) => {
    const decision = decide({ stream: { id: stream, room, status: 'live' } });
    expect(decision).toMatchObject({ status: 403, code: 'no_room' });
  });

  it.each([['authenticated'], [['authenticated', 'x']], [undefined]])('lets the audience %j pass', (aud) => {
    expect(callerUserId({ role: 'authenticated', sub: user, aud })).toBe(user);
  });

  it.each([
    [{ role: 'anon' }, 401],
    [{}, 401],
    [{ role: 'service_role' }, 403],
    [{ role: 'service_role', sub: user }, 403],
    [{ role: 'authenticated' }, 403],
    [{ role: 'authenticated', sub: `${user}#x` }, 403],
    [{ role: 'authenticated', sub: 'admin' }, 403],
    [{ role: 'authenticated', sub: [user] }, 403],
    [{ role: 'authenticated', sub: user, aud: 'another-app' }, 403],
    [{ role: 'authenticated', sub: user, aud: ['a', 'b'] }, 403],
    [{ role: 'authenticated', sub: user, aud: 7 }, 403],
    [{ role: 'supabase_admin', sub: user }, 403],
  ])('refuses the claims %j', (caller, status) => {
    const decision = decideToken({ claims: caller, request: { streamId: stream }, context: viewer, nowMs });
    expect(decision).toMatchObject({ allow: false, status });
    expect(callerUserId(caller)).toBeNull();
  });
});

describe('hostile bodies', () => {
  const flags = [
    'canPublish',
    'canPublishData',
    'canSubscribe',
    'canUpdateOwnMetadata',
    'hidden',
    'recorder',
    'agent',
    'roomAdmin',
    'roomCreate',
    'roomList',
    'roomRecord',
    'ingressAdmin',
    'canSubscribeMetrics',
  ];
  const honest = payloadOf(decide());

  it.each(flags)('the flag %s changes nothing, wherever it stands', (flag) => {
    for (const extra of [
      { [flag]: true },
      { grants: { [flag]: true } },
      { video: { [flag]: true } },
      { grant: { video: { [flag]: true } } },
    ]) {
      expect(payloadOf(decide({}, { streamId: stream, ...extra }))).toEqual(honest);
    }
  });

  it.each([
    ['another identity', { identity: otherUser, userId: otherUser, sub: otherUser, user_id: otherUser }],
    ['an alias', { identity: `${user}#x` }],
    ['another room beside the stream', { room: otherStream, roomName: '*' }],
    ['a year', { ttl: '1y', expiresIn: 31_536_000, exp: 9_999_999_999, ttlSeconds: 1e9 }],
    [
      'name, metadata, attributes',
      { name: 'Host', metadata: '{"admin":true}', attributes: { role: 'admin' } },
    ],
    ['room configuration', { roomConfig: { agents: [{}] }, kind: 'agent', sha256: 'x' }],
  ])('%s changes nothing', (_what, extra) => {
    expect(payloadOf(decide({}, { streamId: stream, ...extra }))).toEqual(honest);
  });

  it('does not read through prototypes', () => {
    const body: unknown = JSON.parse(`{"streamId":"${stream}","__proto__":{"canPublish":true,"allow":true}}`);
    expect(payloadOf(decide({}, body))).toEqual(honest);
    expect(requestedStreamId(JSON.parse(`{"__proto__":{"streamId":"${stream}"}}`))).toBeNull();
    expect(requestedStreamId(Object.create({ streamId: stream }))).toBeNull();
    expect(requestedStreamId(undefined)).toBeNull();
  });

  const nameless: unknown[] = [
    null,
    42,
    'streamId',
    [stream],
    {},
    { streamId: '' },
    { streamId: '*' },
    { streamId: `${stream}#x` },
    { streamId: `${stream}\n` },
    { streamId: { id: stream } },
    { streamId: 'x', room: stream },
  ];

  it.each(nameless.map((body) => ({ body })))('$body names no stream', ({ body }) => {
    expect(decide({}, body)).toMatchObject({ allow: false, status: 400, code: 'bad_request' });
  });

  it('accepts the three names of the stream and any case', () => {
    for (const body of [{ streamId: stream }, { stream_id: stream }, { room: stream }]) {
      expect(payloadOf(decide({}, body))).toEqual(honest);
    }
    const upper = '3333333A-3333-4333-8333-333333333333';
    const decision = decideToken({
      claims: { role: 'authenticated', sub: upper },
      request: { streamId: stream.toUpperCase() },
      context: viewer,
      nowMs,
    });
    expect(payloadOf(decision).sub).toBe(upper.toLowerCase());
  });

  it('whatever else stands in a body, the token is the same', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (extra) => {
        expect(payloadOf(decide({}, { ...extra, streamId: stream }))).toEqual(honest);
      }),
      { numRuns: 300 },
    );
  });
});
