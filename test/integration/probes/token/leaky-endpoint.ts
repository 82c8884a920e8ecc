import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import type { CallerClaims, TokenContext } from '../../../../src/app/token-policy.ts';
import { answerTokenRequest } from '../../../../src/app/token-request.ts';
import { isObject } from '../../../../src/kernel/json-object.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import type { Asker, Scene } from '../../../../src/probes/token/scene.ts';
import { signLiveKitToken } from '../../../../src/target/livekit/mint.ts';
import { mintUserToken } from '../../../../src/target/supabase/synthetic-users.ts';

/** Ways in which token endpoints out there are wrong, one at a time. */
export type Leak =
  // what the client asks for
  | 'obeys-grants'
  | 'obeys-query-grants'
  | 'obeys-role'
  | 'obeys-identity'
  | 'obeys-query-identity'
  | 'obeys-header-identity'
  | 'obeys-room'
  | 'obeys-ttl'
  | 'obeys-attributes'
  | 'obeys-room-config'
  | 'merges-prototypes'
  | 'any-stream'
  | 'gives-all-by-get'
  // what the database says
  | 'forgets-bans'
  | 'forgets-downgrades'
  | 'forgets-expiry'
  | 'forgets-the-end'
  // who asks
  | 'believes-any-jwt'
  | 'believes-alg-none'
  | 'never-expires-sessions'
  | 'confuses-keys'
  | 'trusts-keys-in-tokens'
  | 'any-role'
  | 'any-audience'
  | 'anon-is-a-user'
  | 'nobody-is-a-user'
  // what a token is
  | 'implicit-flags'
  | 'lives-for-hours'
  | 'crashes-on-bodies';

export interface LeakyEndpoint extends AsyncDisposable {
  readonly url: string;
  readonly scene: Scene;
  readonly livekit: { readonly apiKey: string; readonly apiSecret: Secret };
  leak: Leak | null;
}

const streams = {
  live: '11111111-1111-4111-8111-111111111111',
  other: '22222222-2222-4222-8222-222222222222',
  over: '33333333-3333-4333-8333-333333333333',
} as const;
const ids = {
  viewer: 'aaaaaaaa-0000-4000-8000-000000000001',
  speaker: 'aaaaaaaa-0000-4000-8000-000000000002',
  listener: 'aaaaaaaa-0000-4000-8000-000000000003',
  downgraded: 'aaaaaaaa-0000-4000-8000-000000000004',
  expired: 'aaaaaaaa-0000-4000-8000-000000000005',
  banned: 'aaaaaaaa-0000-4000-8000-000000000006',
} as const;
const jwtSecret = 'a-secret-of-the-project-with-32-characters';
const apiKey = 'testkey';
const apiSecret = new Secret('a-secret-of-livekit-with-at-least-32-chars');

/** Verifies sessions of nobody here; it only stands in the key set, to be taken for a secret. */
const publicKey = {
  ...{ kty: 'EC', crv: 'P-256', kid: 'k1', alg: 'ES256' },
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
};

/** The real policy over rows in memory, behind HTTP, that can be bent in one way at a time. */
export async function startLeakyEndpoint(): Promise<LeakyEndpoint> {
  const state: { leak: Leak | null; wishes: object } = { leak: null, wishes: {} };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      answer(state, request, Buffer.concat(chunks).toString())
        .catch(() => ({ status: 500, body: { message: 'crashed' } }))
        .then(({ status, body }) => response.writeHead(status).end(JSON.stringify(body)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    url: `http://127.0.0.1:${port}/token`,
    scene: makeScene(Math.floor(Date.now() / 1000)),
    livekit: { apiKey, apiSecret },
    get leak() {
      return state.leak;
    },
    set leak(leak) {
      state.leak = leak;
      // what one leak has poisoned must not show under the next
      state.wishes = {};
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function makeScene(nowS: number): Scene {
  const session = (id: string): Asker => ({ id, jwt: mintUserToken(jwtSecret, id, nowS, nowS + 3_600) });
  const keyOf = (role: string) => projectKey(role, nowS);
  return {
    ...{ stream: streams.live, otherStream: streams.other, endedStream: streams.over },
    ...{ apiKey: keyOf('anon'), serviceRoleKey: keyOf('service_role'), jwtSecret },
    publicKeys: [publicKey],
    people: Object.fromEntries(Object.entries(ids).map(([part, id]) => [part, session(id)])),
    ...{ strict: true, maxTtlS: 60, nowS },
  };
}

/** An API key of the project, signed as its sessions are. */
function projectKey(role: string, nowS: number): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ role, iss: 'supabase', exp: nowS + 9_999 })}`;
  return `${text}.${createHmac('sha256', jwtSecret).update(text).digest('base64url')}`;
}

async function answer(
  state: { leak: Leak | null; wishes: object },
  request: IncomingMessage,
  text: string,
): Promise<{ status: number; body: unknown }> {
  const { leak } = state;
  const url = new URL(request.url ?? '/', 'http://localhost');
  const query = Object.fromEntries(url.searchParams);
  const body = parsed(text);
  const wish = (leaky: Leak, value: unknown) => (leak === leaky ? value : undefined);
  if (leak === 'crashes-on-bodies' && !isObject(JSON.parse(text))) throw new Error('crashed');
  if (leak === 'merges-prototypes') merge(Object.create(state.wishes), body);
  const byGet = leak === 'gives-all-by-get' && request.method === 'GET';
  return answerTokenRequest(
    {
      method: byGet ? 'POST' : (request.method ?? ''),
      authorization:
        leak === 'nobody-is-a-user'
          ? (request.headers.authorization ?? 'Bearer -')
          : request.headers.authorization,
      body: byGet ? JSON.stringify({ streamId: query.streamId }) : text,
    },
    {
      verify: (jwt) => verify(jwt, leak),
      context: async (streamId, userId) => contextOf(streamId, userId, leak),
      livekit: { url: 'ws://127.0.0.1:1', apiKey },
      sign: async (claims) => {
        const video: Record<string, unknown> = {
          ...claims.video,
          ...asObject(wish('obeys-grants', body.grants)),
          ...asObject(wish('obeys-query-grants', flagsOf(query))),
          ...asObject(wish('merges-prototypes', flagsOf({ ...allOf(state.wishes) }))),
          ...asObject(wish('obeys-role', body.role === 'host' ? { canPublish: true } : {})),
          ...asObject(byGet ? { roomAdmin: true } : {}),
          ...asObject(wish('obeys-room', typeof body.room === 'string' ? { room: body.room } : {})),
        };
        const header = request.headers['x-user-id'];
        return signLiveKitToken(
          {
            ...claims,
            ...present({ sub: wish('obeys-identity', body.identity) }),
            ...present({ sub: wish('obeys-query-identity', query.identity) }),
            ...present({ sub: wish('obeys-header-identity', header) }),
            ...present({ attributes: wish('obeys-attributes', body.attributes) }),
            ...present({ roomConfig: wish('obeys-room-config', body.roomConfig) }),
            ...(leak === 'obeys-ttl' && typeof body.ttl === 'number' ? { exp: claims.iat + body.ttl } : {}),
            ...(leak === 'lives-for-hours' ? { exp: claims.iat + 21_600 } : {}),
            video: leak === 'implicit-flags' ? { room: video.room, roomJoin: true } : video,
          },
          apiSecret,
        );
      },
      nowMs: () => Date.now(),
      newId: () => 'id',
    },
  );
}

async function verify(jwt: string, leak: Leak | null): Promise<CallerClaims | null> {
  const key = new TextEncoder().encode(jwtSecret);
  const options = { algorithms: ['HS256'] };
  try {
    if (leak === 'nobody-is-a-user' && jwt === '-') return { role: 'authenticated', sub: ids.viewer };
    if (leak === 'believes-any-jwt') return decodeJwt(jwt);
    const header = decodeProtectedHeader(jwt);
    if (leak === 'believes-alg-none' && header.alg?.toLowerCase() === 'none') return decodeJwt(jwt);
    if (leak === 'confuses-keys') {
      const pem = createPublicKey({ key: publicKey as JsonWebKey, format: 'jwk' })
        .export({ type: 'spki', format: 'pem' })
        .toString();
      const asSecret = await jwtVerify(jwt, new TextEncoder().encode(pem), options).catch(() => null);
      if (asSecret !== null) return asSecret.payload;
    }
    if (leak === 'trusts-keys-in-tokens' && header.jwk !== undefined) {
      return (await jwtVerify(jwt, await importJWK(header.jwk, 'RS256'))).payload;
    }
    const clockTolerance = leak === 'never-expires-sessions' ? 1e9 : 0;
    const { payload } = await jwtVerify(jwt, key, { ...options, clockTolerance });
    const { sub = ids.viewer } = payload;
    if (leak === 'anon-is-a-user' && payload.role === 'anon') return { role: 'authenticated', sub };
    if (leak === 'any-role') return { ...payload, role: 'authenticated' };
    return leak === 'any-audience' ? { role: payload.role, sub: payload.sub } : payload;
  } catch {
    return null;
  }
}

function contextOf(streamId: string, userId: string, leak: Leak | null): TokenContext {
  const isKnown = Object.values<string>(streams).includes(streamId) || leak === 'any-stream';
  const isOver = streamId === streams.over && leak !== 'forgets-the-end';
  const seat = (can_publish: boolean, expires_at: string | null = null) => ({
    ...{ role: 'speaker', can_publish, state: 'active', expires_at },
  });
  const seats: Readonly<Record<string, TokenContext['seat']>> = {
    [ids.speaker]: seat(true),
    [ids.listener]: seat(false),
    [ids.downgraded]: seat(leak === 'forgets-downgrades'),
    [ids.expired]: seat(true, leak === 'forgets-expiry' ? null : '2020-01-01T00:00:00Z'),
    [ids.banned]: seat(true),
  };
  const isBanned = userId === ids.banned && leak !== 'forgets-bans';
  return {
    stream: isKnown ? { id: streamId, room: streamId, status: isOver ? 'ended' : 'live' } : null,
    profile: { username: userId.slice(-4), display_name: null, avatar_url: null },
    seat: streamId === streams.live ? (seats[userId] ?? null) : null,
    ban: isBanned ? { reason: 'spam', until: null } : null,
  };
}

/** The merge that many libraries had: it walks into `__proto__`. */
function merge(into: Record<string, unknown>, from: Record<string, unknown>): void {
  for (const key of Object.keys(from)) {
    const value = from[key];
    const inside = into[key];
    if (isObject(value) && isObject(inside)) merge(inside, value);
    else into[key] = value;
  }
}

function allOf(value: object): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const key in value) all[key] = Reflect.get(value, key);
  return all;
}

function flagsOf(from: Record<string, unknown>): Record<string, unknown> {
  const flags = Object.entries(from).filter(([, value]) => value === true || value === 'true');
  return Object.fromEntries(flags.map(([flag]) => [flag, true]));
}

function present(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}

function parsed(text: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
}
