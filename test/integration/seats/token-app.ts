import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwtVerify } from 'jose';
import type pg from 'pg';
import type { CallerClaims, TokenContext } from '../../../src/app/token-policy.ts';
import { answerTokenRequest, type TokenHost } from '../../../src/app/token-request.ts';
import type { Target } from '../../../src/config/target.ts';
import { signLiveKitToken } from '../../../src/target/livekit/mint.ts';

/** What may be wrong with it: it does not look at bans. Every other leak is in probes/token/leaky-endpoint.ts. */
export type EndpointFault = 'forgets-bans';

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
  const { database, livekit, jwtSecret } = options;
  const host: TokenHost = {
    verify: (jwt) => claimsOf(jwt, jwtSecret),
    context: async (streamId, userId) => {
      const { rows } = await database.query<{ context: TokenContext }>(
        'select public.livekit_token_context($1::uuid, $2::uuid) as context',
        [streamId, userId],
      );
      const context = rows[0]?.context ?? { stream: null, profile: null, seat: null, ban: null };
      return app.fault === 'forgets-bans' ? { ...context, ban: null } : context;
    },
    livekit,
    sign: (claims) => signLiveKitToken({ ...claims }, livekit.apiSecret),
    nowMs: () => Date.now(),
    newId: () => randomUUID(),
  };
  const server = createServer((request, response) => {
    if (answersLeft-- <= 0) {
      request.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', headers } = request;
      const body = Buffer.concat(chunks).toString();
      answerTokenRequest({ method, authorization: headers.authorization, body }, host)
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

async function claimsOf(bearer: string, secret: string): Promise<CallerClaims | null> {
  try {
    const key = new TextEncoder().encode(secret);
    return (await jwtVerify(bearer, key, { algorithms: ['HS256'] })).payload;
  } catch {
    return null;
  }
}
