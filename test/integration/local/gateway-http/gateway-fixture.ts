import { randomBytes } from 'node:crypto';
import { createClient, type SupabaseClient } from '@supabase/supabase-js';
import pg from 'pg';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { ReleaseStack } from '../../../../src/kernel/release-stack.ts';
import { type Gateway, type GatewayOptions, startGateway } from '../../../../src/local/gateway/gateway.ts';
import { type ApiKeys, mintApiKeys } from '../../../../src/local/gateway/keys.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';

export const livekitSecret = 'a livekit secret of at least thirty-two bytes';

/** The JSON object a response carries. @throws when it carries anything else */
export async function jsonObject(response: Response): Promise<Record<string, unknown>> {
  const value: unknown = await response.json();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`no JSON object: ${JSON.stringify(value)}`);
  }
  return { ...value };
}

export interface GatewayFixture {
  readonly postgres: TestPostgres;
  readonly gateway: Gateway;
  readonly keys: ApiKeys;
  readonly jwtSecret: string;
  /** As `postgres`, which migrations run as. */
  readonly owner: pg.Pool;
  /** As `supabase_admin`. */
  readonly admin: pg.Pool;
  /** The official client with a key, as an application makes it. */
  client(key: string): SupabaseClient;
  /** A bare request, for what the official client would never send. */
  fetch(path: string, init?: RequestInit & { key?: string }): Promise<Response>;
  stop(): Promise<void>;
}

/** A real PostgreSQL and the gateway on it, in this process. */
export async function startGatewayFixture(
  options: Pick<GatewayOptions, 'clientTimeouts'> = {},
): Promise<GatewayFixture> {
  const releases = new ReleaseStack(() => {});
  const postgres = releases.use('postgres', await startTestPostgres());
  const jwtSecret = randomBytes(32).toString('hex');
  const keys = await mintApiKeys(jwtSecret);
  const gateway = releases.use(
    'gateway',
    await startGateway({
      host: '127.0.0.1',
      port: 0,
      adminUrl: postgres.adminUrl,
      authenticatorUrl: postgres.authenticatorUrl,
      jwtSecret,
      apiKeys: keys,
      livekit: { url: 'ws://127.0.0.1:7880', apiKey: 'APItest', apiSecret: livekitSecret },
      quota: null,
      ...options,
      log: silentLogger,
    }),
  );
  const pool = (url: string) => {
    const opened = new pg.Pool({ connectionString: url, max: 2 });
    opened.on('error', () => {});
    releases.add('pool', () => opened.end());
    return opened;
  };
  return {
    postgres,
    gateway,
    keys,
    jwtSecret,
    owner: pool(postgres.databaseUrl),
    admin: pool(postgres.adminUrl),
    client: (key) =>
      createClient(gateway.url, key, { auth: { persistSession: false, autoRefreshToken: false } }),
    fetch: (path, init = {}) => {
      const { key = keys.anon, ...rest } = init;
      return fetch(`${gateway.url}${path}`, { ...rest, headers: { apikey: key, ...rest.headers } });
    },
    stop: () => releases.release(),
  };
}
