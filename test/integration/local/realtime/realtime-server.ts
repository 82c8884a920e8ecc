import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errors, jwtVerify, SignJWT } from 'jose';
import { type Logger, silentLogger } from '../../../../src/kernel/log.ts';
import {
  type Authenticator,
  AuthRefusal,
  type Claims,
  type QuotaProfile,
} from '../../../../src/local/gateway/context.ts';
import {
  createRealtime,
  type Realtime,
  type RealtimeOptions,
} from '../../../../src/local/gateway/realtime/realtime.ts';

export const jwtSecret = 'a-secret-of-at-least-32-characters-for-tests';
export const publishableKey = 'sb_publishable_test';
export const secretKey = 'sb_secret_test';

/** HS256 with the tests' secret, as the gateway's own authenticator answers. */
const authenticator: Authenticator = {
  async verifyJwt(token) {
    try {
      const key = new TextEncoder().encode(jwtSecret);
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'] });
      // the tests sign every token with a role
      return payload as unknown as Claims;
    } catch (error) {
      const isClaim = error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed;
      throw new AuthRefusal(401, isClaim ? 'PGRST303' : 'PGRST301', String(error));
    }
  },
  async resolveApiKey(key) {
    if (key === publishableKey) return { role: 'anon' };
    if (key === secretKey) return { role: 'service_role' };
    return authenticator.verifyJwt(key);
  },
};

export function mintJwt(claims: Record<string, unknown>, expiresInS = 3600): Promise<string> {
  const nowS = Math.floor(Date.now() / 1000);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuedAt(nowS - 10)
    .setExpirationTime(nowS + expiresInS)
    .sign(new TextEncoder().encode(jwtSecret));
}

export const mintUser = (userId: string): Promise<string> => mintJwt({ role: 'authenticated', sub: userId });

export interface RealtimeServer extends AsyncDisposable {
  readonly url: string;
  readonly wsUrl: string;
  readonly anonKey: string;
  readonly realtime: Realtime;
  stop(): Promise<void>;
}

/** Realtime alone behind a plain HTTP server: what the gateway mounts, without the rest of the gateway. */
export async function startRealtimeServer(
  adminUrl: string,
  options: { quota?: QuotaProfile; log?: Logger } & RealtimeOptions = {},
): Promise<RealtimeServer> {
  const { quota = null, log = silentLogger, ...realtimeOptions } = options;
  const realtime = createRealtime({ adminUrl, auth: authenticator, quota, log }, realtimeOptions);
  await realtime.start();
  const server = createServer((req, res) => {
    if (!realtime.handleHttp(req, res)) res.writeHead(404).end();
  });
  server.on('upgrade', (req, socket, head) => realtime.handleUpgrade(req, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // an IP server's address is never a text
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    await realtime.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}/realtime/v1/websocket`,
    anonKey: await mintJwt({ role: 'anon', iss: 'supabase' }, 3600 * 24),
    realtime,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
