import pg from 'pg';
import type { Logger } from '../../kernel/log.ts';

/**
 * Connections for requests. Settled writes of this schema peak at 8 to 16 connections on two cores (ledger.md);
 * 12 leaves the database room for migrations, the settler and the realtime stream.
 */
const requestConnections = 12;
/** Sign-ups, sign-ins, user administration: short statements, far fewer. */
const adminConnections = 6;
/** PostgREST's `db-pool-acquisition-timeout` on hosted. */
const acquireMs = 10_000;
/** A connection idle for this long was part of a peak. */
const idleMs = 30_000;
/** No statement of the gateway's own needs more than milliseconds; this ends the ones a lock holds up. */
const adminStatementMs = 10_000;

export interface Pools {
  /** As the superuser: the auth service, which steps down to `supabase_auth_admin`. */
  readonly adminPool: pg.Pool;
  /** As `authenticator` (noinherit): every request sets its role and claims in one transaction. */
  readonly authenticatorPool: pg.Pool;
  stop(): Promise<void>;
}

/** The two pools of the gateway. Nothing connects before the first query. */
export function openPools(adminUrl: string, authenticatorUrl: string, log: Logger): Pools {
  const adminPool = openPool(
    {
      connectionString: adminUrl,
      application_name: 'trollfix-gateway-admin',
      max: adminConnections,
      connectionTimeoutMillis: acquireMs,
      idleTimeoutMillis: idleMs,
      statement_timeout: adminStatementMs,
      // when the server itself hangs, its statement timeout does not come
      query_timeout: adminStatementMs * 2,
    },
    log,
  );
  const authenticatorPool = openPool(
    {
      connectionString: authenticatorUrl,
      application_name: 'postgrest',
      max: requestConnections,
      connectionTimeoutMillis: acquireMs,
      idleTimeoutMillis: idleMs,
    },
    log,
  );
  return {
    adminPool,
    authenticatorPool,
    stop: async () => {
      await Promise.allSettled([adminPool.end(), authenticatorPool.end()]);
    },
  };
}

/** A pool that outlives its connections: what the server ends is replaced at the next use. */
export function openPool(config: pg.PoolConfig, log: Logger): pg.Pool {
  const pool = new pg.Pool(config);
  // a connection that dies is an event of its client and, while idle, of the pool: unheard, either ends the process
  pool.on('error', (error) => log.warn('idle database connection lost', { error: error.message }));
  pool.on('connect', (client) => {
    client.on('error', (error) => log.warn('database connection lost', { error: error.message }));
  });
  return pool;
}
