import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AttackRow, attackTokenEndpoint } from '../../../../src/probes/token/attack.ts';
import type { Scene } from '../../../../src/probes/token/scene.ts';
import { ownTokenForm, type TokenForm } from '../../../../src/target/livekit/token-form.ts';
import { type Leak, type LeakyEndpoint, startLeakyEndpoint } from './leaky-endpoint.ts';

let endpoint: LeakyEndpoint;
beforeAll(async () => {
  endpoint = await startLeakyEndpoint();
});
afterAll(() => endpoint[Symbol.asyncDispose]());

async function attack(
  leak: Leak | null,
  changes: { scene?: Partial<Scene>; form?: Partial<TokenForm> } = {},
) {
  endpoint.leak = leak;
  return attackTokenEndpoint({
    form: { ...ownTokenForm(endpoint.url), ...changes.form },
    scene: { ...endpoint.scene, ...changes.scene },
    livekit: endpoint.livekit,
    paceMs: 0,
    nowMs: () => Date.now(),
    signal: AbortSignal.timeout(60_000),
  });
}

const namesOf = (rows: readonly AttackRow[], verdict: AttackRow['verdict']) =>
  rows.filter((row) => row.verdict === verdict).map(({ name }) => name);

const unsigned = ['none', 'None', 'NONE', 'nOnE'].map((alg) => `an unsigned JWT (alg ${alg})`);

/** Each leak with the cases that see it: all of them, and no other. */
const leaks: ReadonlyArray<readonly [Leak, readonly string[]]> = [
  [
    'obeys-grants',
    [
      ...['canPublish', 'canPublishData', 'canUpdateOwnMetadata', 'canSubscribeMetrics', 'roomAdmin'],
      ...['roomCreate', 'roomList', 'roomRecord', 'ingressAdmin', 'hidden', 'recorder', 'agent'],
    ]
      .map((flag) => `${flag}: true`)
      .concat([
        'every flag at once',
        'every flag at once, by a speaker',
        'another room inside grants',
        '__proto__ inside the grants',
      ]),
  ],
  ['obeys-query-grants', ['every flag in the query string']],
  ['obeys-role', ['a role of its own', 'a seat that lost the right to publish', 'a seat whose time is over']],
  [
    'obeys-identity',
    ["another user's identity", 'an alias of oneself', 'an alias of another user', 'an empty identity'],
  ],
  ['obeys-query-identity', ['another identity in the query string']],
  ['obeys-header-identity', ['the identity in headers']],
  ['obeys-room', ['another room beside the stream', 'the room "*" beside the stream']],
  ['obeys-ttl', ['a year in seconds']],
  ['obeys-attributes', ['name, metadata and attributes']],
  ['obeys-room-config', ['room configuration and kind']],
  ['any-stream', ['the stream "00000000-0000-4000-8000-000000000000"']],
  ['gives-all-by-get', ['GET with everything in the query string']],
  ['forgets-bans', ['a banned user', 'a banned user asking to publish']],
  ['forgets-downgrades', ['a seat that lost the right to publish']],
  ['forgets-expiry', ['a seat whose time is over']],
  ['forgets-the-end', ['a stream that is over']],
  ['believes-alg-none', unsigned],
  ['never-expires-sessions', ['an expired JWT', 'a JWT that is not valid yet']],
  ['confuses-keys', ['public key as PEM for a secret (HS256)']],
  ['trusts-keys-in-tokens', ['RS256 by a key that the token brings (jwk)']],
  [
    'any-role',
    [
      'a valid JWT with the role anon',
      'a valid JWT with the role service_role',
      'a valid JWT with the role supabase_admin',
      'a valid JWT without a role',
      'a valid JWT with a list of roles',
    ],
  ],
  ['any-audience', ['a valid JWT for another audience', 'a valid JWT for several other audiences']],
  ['anon-is-a-user', ['the anon key', 'a valid JWT with the role anon']],
  ['nobody-is-a-user', ['nobody']],
  [
    'crashes-on-bodies',
    // a GET has no body at all
    ['no JSON', 'an empty body', 'a list', 'null', 'a number', 'GET with everything in the query string'],
  ],
];

describe('the table against an endpoint with one leak', () => {
  it('holds everywhere without a leak, and shows no token', async () => {
    const rows = await attack(null);
    expect(rows.filter(({ verdict }) => verdict !== 'held')).toEqual([]);
    expect(rows.length).toBeGreaterThan(100);
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
    expect(JSON.stringify(rows)).not.toMatch(/eyJ[\w-]{6}/);
  });

  it.each(leaks)('%s is seen by its cases and by no other', async (leak, seen) => {
    const rows = await attack(leak);
    expect(namesOf(rows, 'breached').toSorted()).toEqual(seen.toSorted());
    expect(namesOf(rows, 'inconclusive')).toEqual([]);
    expect(JSON.stringify(rows)).not.toMatch(/eyJ[\w-]{6}/);
  });

  it('an endpoint that believes any JWT fails every forgery, and no case of honest sessions', async () => {
    const breached = (await attack('believes-any-jwt')).filter(({ verdict }) => verdict === 'breached');
    expect(new Set(breached.map(({ group }) => group))).toEqual(new Set(['caller']));
    expect(breached.map(({ name }) => name)).toEqual(
      expect.arrayContaining([...unsigned, 'a JWT signed with another key', 'an expired JWT']),
    );
  });

  it('one poisoned prototype shows in the next honest token', async () => {
    const rows = await attack('merges-prototypes');
    const names = rows.map(({ name }) => name);
    const first = names.indexOf('__proto__');
    expect(rows.slice(0, first).every(({ verdict }) => verdict === 'held')).toBe(true);
    expect(namesOf(rows, 'breached')).toContain('a viewer after the pollution attempts');
  });

  it.each(['implicit-flags', 'lives-for-hours'] as const)(
    '%s is told once with every honest token, not with every question',
    async (leak) => {
      const rows = await attack(leak);
      const honest = rows.filter(({ group }) => group === 'honest');
      expect(namesOf(rows, 'breached')).toEqual(honest.map(({ name }) => name));
      expect(honest.length).toBe(7);
    },
  );
});

describe('an endpoint that nobody here wrote', () => {
  const stranger = { strict: false, jwtSecret: null, serviceRoleKey: null, publicKeys: null } as const;

  it('with one session: what can be asked is judged, the rest says what it lacks', async () => {
    const { viewer } = endpoint.scene.people;
    const people = viewer === undefined ? {} : { viewer };
    const rows = await attack(null, { scene: { ...stranger, people, endedStream: null } });
    expect(namesOf(rows, 'breached')).toEqual([]);
    const unclear = rows.filter(({ verdict }) => verdict === 'inconclusive');
    expect(unclear.every(({ answer }) => answer === null)).toBe(true);
    expect(unclear.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['a banned user', 'an expired JWT', 'the service-role key itself']),
    );
    expect(rows.length - unclear.length).toBeGreaterThan(70);
  });

  it.each([
    ['obeys-identity', 'an alias of oneself'],
    ['obeys-room', 'another room beside the stream'],
    ['believes-alg-none', 'an unsigned JWT (alg none)'],
    ['lives-for-hours', 'a viewer may watch'],
  ] as const)('its %s is seen by "%s"', async (leak, name) => {
    const rows = await attack(leak, { scene: stranger });
    expect(namesOf(rows, 'breached')).toContain(name);
  });

  it('one that refuses everybody shows nothing', async () => {
    const expired = { id: 'x', jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA' };
    const rows = await attack(null, { scene: { ...stranger, people: { viewer: expired } } });
    expect(rows.filter(({ verdict }) => verdict !== 'inconclusive')).toEqual([]);
  });

  it('one that is not there shows nothing', async () => {
    const rows = await attack(null, { form: { url: 'http://127.0.0.1:9/token' } });
    expect(new Set(rows.map(({ verdict }) => verdict))).toEqual(new Set(['inconclusive']));
  });
});
