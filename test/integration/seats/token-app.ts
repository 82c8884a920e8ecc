import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwtVerify } from 'jose';
import type pg from 'pg';
import {
  callerUserId,
  decideToken,
  liveKitClaims,
  requestedStreamId,
  type TokenContext,
} from '../../../src/app/token-policy.ts';
import type { Target } from '../../../src/config/target.ts';
import { signLiveKitToken } from '../../../src/target/livekit/mint.ts';

/** What is wrong with a token endpoint that a probe must find out. */
export type EndpointFault =
  /** Takes the grants of the request body over, as many tutorials do. */
  | 'obeys-grants'
  | 'obeys-identity'
  | 'obeys-ttl'
  /** Does not look at bans. */
  | 'forgets-bans'
  /** Reads the caller's claims without checking the signature. */
  | 'believes-any-jwt'
  /** Leaves flags out, which LiveKit takes as permission. */
  | 'implicit-flags';

export interface TokenApp extends AsyncDisposable {
  readonly url: string;
  fault: EndpointFault | null;
  /** Answers so many requests and cuts the connection of every one after; null answers all. */
  dieAfter(requests: number | null): void;
}

/** A token endpoint over HTTP as the gateway serves it, with the real policy, that can be bent. */
export async function startTokenApp(options: {
  readonly database: pg.Pool;
  readonly livekit: NonNullable<Target['livekit']>;
  readonly jwtSecret: string;
}): Promise<TokenApp> {
  let answersLeft = Number.POSITIVE_INFINITY;
  const app: Omit<TokenApp, typeof Symbol.asyncDispose> & { url: string } = {
    url: '',
    fault: null,
    dieAfter(requests) {
      answersLeft = requests ?? Number.POSITIVE_INFINITY;
    },
  };
  const server = createServer((request, response) => {
    if (answersLeft-- <= 0) {
      request.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
      answer(options, app.fault, bearer, Buffer.concat(chunks).toString())
        .catch((error: unknown) => ({ status: 500, body: { message: String(error) } }))
        .then(({ status, body }) => {
          response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  app.url = `http://127.0.0.1:${port}/functions/v1/livekit-token`;
  return Object.assign(app, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

async function answer(
  { database, livekit, jwtSecret }: Parameters<typeof startTokenApp>[0],
  fault: EndpointFault | null,
  bearer: string,
  text: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const claims = await claimsOf(bearer, jwtSecret, fault);
  if (claims === null) return { status: 401, body: { message: 'invalid JWT' } };
  const body = parse(text);
  const [streamId, userId] = [requestedStreamId(body), callerUserId(claims)];
  const { rows } = await database.query<{ context: TokenContext }>(
    'select public.livekit_token_context($1::uuid, $2::uuid) as context',
    [streamId, userId],
  );
  const context = rows[0]?.context ?? { stream: null, profile: null, seat: null, ban: null };
  const seen = fault === 'forgets-bans' ? { ...context, ban: null } : context;
  const decision = decideToken({ claims, request: body, context: seen, nowMs: Date.now() });
  if (!decision.allow) return { status: decision.status, body: { message: decision.message } };
  const honest = liveKitClaims(decision, livekit.apiKey, Date.now() / 1000);
  const token = await signLiveKitToken(
    bend({ ...honest, video: { ...honest.video } }, body, fault),
    livekit.apiSecret,
  );
  return { status: 200, body: { token, url: livekit.url, identity: honest.sub, room: honest.video.room } };
}

function bend(
  claims: Record<string, unknown> & { video: Record<string, unknown>; iat: number },
  body: Record<string, unknown>,
  fault: EndpointFault | null,
): Record<string, unknown> {
  switch (fault) {
    case 'obeys-grants':
      return {
        ...claims,
        video: { ...claims.video, ...(body.grants as Record<string, unknown> | undefined) },
      };
    case 'obeys-identity':
      return { ...claims, sub: body.identity ?? claims.sub };
    case 'obeys-ttl':
      return { ...claims, exp: claims.iat + (typeof body.ttl === 'number' ? body.ttl : 60) };
    case 'implicit-flags': {
      const { room, roomJoin } = claims.video;
      return { ...claims, video: { room, roomJoin } };
    }
    default:
      return claims;
  }
}

async function claimsOf(bearer: string, secret: string, fault: EndpointFault | null) {
  try {
    if (fault === 'believes-any-jwt')
      return parse(Buffer.from(bearer.split('.')[1] ?? '', 'base64url').toString());
    const key = new TextEncoder().encode(secret);
    return (await jwtVerify(bearer, key, { algorithms: ['HS256'] })).payload;
  } catch {
    return null;
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch {
    return {};
  }
}
