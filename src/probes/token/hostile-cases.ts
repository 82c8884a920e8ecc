import { createHmac, randomBytes } from 'node:crypto';
import type { TokenRequest } from '../../target/livekit/token-endpoint.ts';
import { mintUserToken, type SyntheticUser } from '../../target/supabase/synthetic-users.ts';

/** The people and places the table needs. */
export interface Scene {
  readonly stream: string;
  readonly otherStream: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string | undefined;
  readonly jwtSecret: string | undefined;
  readonly viewer: SyntheticUser;
  readonly speaker: SyntheticUser;
  /** An active seat that may not publish. */
  readonly listener: SyntheticUser;
  /** Had a seat that may publish, and lost that right. */
  readonly downgraded: SyntheticUser;
  /** Had a seat whose time is over. */
  readonly expired: SyntheticUser;
  readonly banned: SyntheticUser;
  readonly nowS: number;
}

type Group = 'honest' | 'flags' | 'identity' | 'room' | 'ttl' | 'body' | 'seat' | 'caller';

/** What a token may at most grant. */
export interface Allowance {
  readonly user: SyntheticUser;
  readonly room: string;
  readonly canPublish: boolean;
}

export interface TokenCase {
  readonly group: Group;
  readonly name: string;
  readonly request: TokenRequest;
  /**
   * token: exactly this must be granted. at_most: a refusal, or exactly this. refused: no token at all, and a 4xx.
   */
  readonly expect:
    | { readonly kind: 'token' | 'at_most'; readonly allow: Allowance }
    | { readonly kind: 'refused' };
}

/** Every grant of LiveKit's that a client might ask for. */
const grantFlags = [
  ...['canPublish', 'canPublishData', 'canUpdateOwnMetadata', 'canPublishSources', 'canSubscribeMetrics'],
  ...['roomAdmin', 'roomCreate', 'roomList', 'roomRecord', 'ingressAdmin', 'hidden', 'recorder', 'agent'],
] as const;

/** The table of hostile requests (livekit.md §4). The first cases are honest: an endpoint that refuses all is no proof. */
export function hostileCases(scene: Scene): TokenCase[] {
  return [
    ...honestCases(scene),
    ...flagCases(scene),
    ...identityCases(scene),
    ...roomCases(scene),
    ...ttlCases(scene),
    ...bodyCases(scene),
    ...seatCases(scene),
    ...callerCases(scene),
  ];
}

function honestCases(scene: Scene): TokenCase[] {
  return [
    honest('a viewer may watch', ask(scene, scene.viewer), watch(scene, scene.viewer)),
    honest('a speaker may publish', ask(scene, scene.speaker), publish(scene, scene.speaker)),
    honest('a listen-only seat may watch', ask(scene, scene.listener), watch(scene, scene.listener)),
  ];
}

function flagCases(scene: Scene): TokenCase[] {
  const placements = (flags: Record<string, unknown>) => ({
    ...flags,
    grants: flags,
    grant: flags,
    video: flags,
    permission: flags,
    permissions: flags,
    options: { video: flags },
  });
  const everything = Object.fromEntries(grantFlags.map((flag) => [flag, true]));
  return [
    ...grantFlags.map((flag) =>
      atMost(
        'flags',
        `${flag}: true`,
        ask(scene, scene.viewer, placements({ [flag]: flag === 'canPublishSources' ? ['camera'] : true })),
        watch(scene, scene.viewer),
      ),
    ),
    atMost(
      'flags',
      'every flag at once',
      ask(scene, scene.viewer, placements(everything)),
      watch(scene, scene.viewer),
    ),
    atMost(
      'flags',
      'every flag at once, by a speaker',
      ask(scene, scene.speaker, placements(everything)),
      publish(scene, scene.speaker),
    ),
    atMost(
      'flags',
      'every flag in the query string',
      { ...ask(scene, scene.viewer), query: `?${grantFlags.map((flag) => `${flag}=true`).join('&')}` },
      watch(scene, scene.viewer),
    ),
  ];
}

function identityCases(scene: Scene): TokenCase[] {
  const { viewer, speaker } = scene;
  const as = (id: string) => ({
    ...{ identity: id, sub: id, userId: id, user_id: id, participantIdentity: id, participant_identity: id },
    user: { id },
  });
  return [
    atMost('identity', "another user's identity", ask(scene, viewer, as(speaker.id)), watch(scene, viewer)),
    atMost('identity', 'an alias of oneself', ask(scene, viewer, as(`${viewer.id}#x`)), watch(scene, viewer)),
    atMost(
      'identity',
      'an alias of another user',
      ask(scene, viewer, as(`${speaker.id}#x`)),
      watch(scene, viewer),
    ),
    atMost('identity', 'an empty identity', ask(scene, viewer, as('')), watch(scene, viewer)),
    atMost(
      'identity',
      'another identity in the query string',
      { ...ask(scene, viewer), query: `?identity=${speaker.id}&userId=${speaker.id}` },
      watch(scene, viewer),
    ),
    atMost(
      'identity',
      'name, metadata and attributes',
      ask(scene, viewer, {
        name: 'The Host',
        metadata: '{"role":"admin"}',
        attributes: { role: 'admin' },
        participantName: 'The Host',
        participant_metadata: '{"role":"admin"}',
        participant_attributes: { role: 'admin' },
      }),
      watch(scene, viewer),
    ),
  ];
}

function roomCases(scene: Scene): TokenCase[] {
  const { viewer, speaker, otherStream } = scene;
  const elsewhere = { room: otherStream, roomName: otherStream, room_name: otherStream };
  return [
    atMost('room', 'another room beside the stream', ask(scene, speaker, elsewhere), publish(scene, speaker)),
    atMost('room', 'the room "*" beside the stream', ask(scene, viewer, { room: '*' }), watch(scene, viewer)),
    atMost(
      'room',
      'another room inside grants',
      ask(scene, viewer, { video: elsewhere, grants: elsewhere }),
      watch(scene, viewer),
    ),
    atMost(
      'room',
      'another room in the query string',
      { ...ask(scene, viewer), query: `?room=${otherStream}&streamId=${otherStream}` },
      watch(scene, viewer),
    ),
    // the seat is on one stream: on another the speaker is a viewer
    honest(
      'a speaker of one stream only watches another',
      { ...ask(scene, speaker), body: JSON.stringify({ streamId: otherStream }) },
      { user: speaker, room: otherStream, canPublish: false },
    ),
    ...[
      '*',
      '',
      `${scene.stream}#x`,
      `${scene.stream}'; --`,
      '00000000-0000-4000-8000-000000000000',
      '../admin',
    ].map((room) =>
      refused('room', `the stream ${JSON.stringify(room.replace(scene.stream, '<id>'))}`, {
        ...ask(scene, viewer),
        body: JSON.stringify({ streamId: room }),
      }),
    ),
  ];
}

function ttlCases(scene: Scene): TokenCase[] {
  const life = (value: unknown) => ({
    ttl: value,
    ttlSeconds: value,
    expiresIn: value,
    expires_in: value,
    exp: value,
  });
  return [
    atMost('ttl', 'a year in words', ask(scene, scene.viewer, life('1y')), watch(scene, scene.viewer)),
    atMost(
      'ttl',
      'a year in seconds',
      ask(scene, scene.viewer, life(31_536_000)),
      watch(scene, scene.viewer),
    ),
    atMost('ttl', 'no end at all', ask(scene, scene.viewer, life(null)), watch(scene, scene.viewer)),
    atMost('ttl', 'a negative life', ask(scene, scene.viewer, life(-1)), watch(scene, scene.viewer)),
  ];
}

function bodyCases(scene: Scene): TokenCase[] {
  const { viewer, stream } = scene;
  const raw = (name: string, body: string): TokenCase =>
    refused('body', name, { ...ask(scene, viewer), body });
  const rawAtMost = (name: string, rest: string): TokenCase =>
    atMost(
      'body',
      name,
      { ...ask(scene, viewer), body: `{"streamId":"${stream}",${rest}}` },
      watch(scene, viewer),
    );
  const proto =
    '{"canPublish":true,"roomAdmin":true,"can_publish":true,"role":"service_role","state":"active"}';
  return [
    rawAtMost('__proto__', `"__proto__":${proto}`),
    rawAtMost('constructor.prototype', `"constructor":{"prototype":${proto}}`),
    rawAtMost(
      'room configuration and kind',
      '"roomConfig":{"agents":[{"agentName":"x"}]},"roomPreset":"x","kind":"agent"',
    ),
    rawAtMost('sip and inference', '"sip":{"admin":true,"call":true},"inference":{"perform":true}'),
    rawAtMost(
      'a seat of its own',
      '"seat":{"role":"host","can_publish":true,"state":"active"},"context":{"ban":null}',
    ),
    rawAtMost('the same key twice', `"streamId":"${stream}"`),
    // after the attempts to poison prototypes: nobody else's token may have changed
    honest('a viewer after the pollution attempts', ask(scene, viewer), watch(scene, viewer)),
    raw('no JSON', 'streamId=1'),
    raw('an empty body', ''),
    raw('an empty object', '{}'),
    raw('a list', `["${stream}"]`),
    raw('null', 'null'),
    raw('an object for an id', `{"streamId":{"id":"${stream}"}}`),
    raw('a list for an id', `{"streamId":["${stream}"]}`),
    raw('deep nesting', `{"streamId":${'['.repeat(2_000)}${']'.repeat(2_000)}}`),
  ];
}

function seatCases(scene: Scene): TokenCase[] {
  const { banned, downgraded, expired } = scene;
  const pleading = { canPublish: true, role: 'host' };
  return [
    refused('seat', 'a banned user', ask(scene, banned)),
    refused('seat', 'a banned user asking to publish', ask(scene, banned, pleading)),
    honest(
      'a seat that lost the right to publish',
      ask(scene, downgraded, pleading),
      watch(scene, downgraded),
    ),
    honest('a seat whose time is over', ask(scene, expired, pleading), watch(scene, expired)),
  ];
}

function callerCases(scene: Scene): TokenCase[] {
  const { viewer, speaker, anonKey, serviceRoleKey, jwtSecret, nowS } = scene;
  const wrongSecret = randomBytes(32).toString('hex');
  const as = (name: string, bearer: string | null) =>
    refused('caller', name, { ...ask(scene, viewer), bearer });
  const cases = [
    as('nobody', null),
    as('the anon key', anonKey),
    as('an empty token', ''),
    as('not a JWT', 'not.a.jwt'),
    as('a JWT signed with another key', mintUserToken(wrongSecret, viewer.id, nowS, nowS + 3_600)),
    as('a JWT signed with an empty key', mintUserToken('', viewer.id, nowS, nowS + 3_600)),
    as('an unsigned JWT (alg none)', unsigned('none', viewer.id, nowS)),
    as('an unsigned JWT (alg NoNe)', unsigned('NoNe', viewer.id, nowS)),
    as("another user's claims under one's own signature", transplant(viewer.token, { sub: speaker.id })),
    as('a later expiry under the old signature', transplant(viewer.token, { exp: nowS + 31_536_000 })),
    as(
      'a forged service-role key',
      signed(wrongSecret, { role: 'service_role', iss: 'supabase', exp: nowS + 3_600 }),
    ),
    as('the service role under a user’s signature', transplant(viewer.token, { role: 'service_role' })),
  ];
  // the real service key may do everything but be somebody
  if (serviceRoleKey !== undefined) cases.push(as('the service-role key itself', serviceRoleKey));
  if (jwtSecret !== undefined) {
    cases.push(
      as('an expired JWT', mintUserToken(jwtSecret, viewer.id, nowS - 7_200, nowS - 3_600)),
      as('a valid JWT of an alias', mintUserToken(jwtSecret, `${viewer.id}#x`, nowS, nowS + 3_600)),
      as(
        'a valid JWT of no user',
        signed(jwtSecret, { role: 'authenticated', iss: 'supabase', exp: nowS + 3_600 }),
      ),
    );
  }
  return cases;
}

function ask(scene: Scene, user: SyntheticUser, extra: Record<string, unknown> = {}): TokenRequest {
  return {
    apiKey: scene.anonKey,
    bearer: user.token,
    body: JSON.stringify({ ...extra, streamId: scene.stream }),
  };
}

function watch({ stream }: Scene, user: SyntheticUser): Allowance {
  return { user, room: stream, canPublish: false };
}

function publish({ stream }: Scene, user: SyntheticUser): Allowance {
  return { user, room: stream, canPublish: true };
}

function honest(name: string, request: TokenRequest, allow: Allowance): TokenCase {
  return { group: 'honest', name, request, expect: { kind: 'token', allow } };
}

function atMost(group: Group, name: string, request: TokenRequest, allow: Allowance): TokenCase {
  return { group, name, request, expect: { kind: 'at_most', allow } };
}

function refused(group: Group, name: string, request: TokenRequest): TokenCase {
  return { group, name, request, expect: { kind: 'refused' } };
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function signed(secret: string, claims: Record<string, unknown>): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

function unsigned(alg: string, sub: string, nowS: number): string {
  const claims = { sub, role: 'authenticated', aud: 'authenticated', iat: nowS, exp: nowS + 3_600 };
  return `${part({ alg, typ: 'JWT' })}.${part(claims)}.`;
}

/** Changes claims of a real token and keeps its signature. */
function transplant(token: string, changes: Record<string, unknown>): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  return `${header}.${part({ ...(claims as Record<string, unknown>), ...changes })}.${signature}`;
}
