import { rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { sleep } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import { freeTcpPort, loopback } from './free-port.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { postgresEnv, prepareCluster, reapCluster, superuser } from './postgres-cluster.ts';
import type { LaunchContext, RunningService, ServiceDefinition } from './service.ts';
import { describeExit, type ServiceProcess, spawnService } from './service-process.ts';
import { isPublicFolder, unprivilegedUser } from './unprivileged-user.ts';

export interface PostgresOptions {
  readonly dataDir: string;
  readonly logFile: string;
  /** Of `supabase_admin`; URL-safe characters only. */
  readonly adminPassword: string;
}

/** From spawn to the first answered query: 0.1 s on an idle machine; recovery after a crash under load takes longer. */
const readyMs = 30_000;

/** One question; a healthy server answers in a millisecond. */
const connectMs = 2000;

/** Tries at another port when somebody took the chosen one in between. */
const portAttempts = 5;

/**
 * What differs from PostgreSQL's defaults. Durability (fsync, full_page_writes, synchronous_commit) stays at the
 * defaults, which are on: settlement figures without it would be of another system.
 */
function settings(port: number): Readonly<Record<string, string>> {
  return {
    listen_addresses: loopback,
    port: String(port),
    // no socket in /tmp: nobody needs it, and stacks side by side would meet there
    unix_socket_directories: '',
    // Realtime streams changes from the log
    wal_level: 'logical',
    // gateway pools, probes, settler, drainers and a person with psql, side by side; hosted small plans have 60–120
    max_connections: '200',
    // a slot that its reader forgot must not fill the disk
    max_slot_wal_keep_size: '1GB',
    // 128 MB is for machines of 2005; the working set of a drill fits into this
    shared_buffers: '256MB',
    // fewer checkpoints inside a measurement of a minute or two
    max_wal_size: '2GB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %a ',
    // statements may hold passwords (ALTER ROLE …): errors go to the log without them
    log_min_error_statement: 'panic',
    cluster_name: 'trollfix',
  };
}

export function superuserUrl(port: number, password: string): string {
  return databaseUrl(superuser, password, port);
}

export function databaseUrl(user: string, password: string, port: number): string {
  return `postgresql://${user}:${password}@${loopback}:${port}/postgres`;
}

/**
 * A real PostgreSQL 17 in `dataDir`, created at the first start, on 127.0.0.1 only. Its data stays until
 * {@link removePostgresData}. When this process is root it runs as an unprivileged user.
 */
export function postgresService(options: PostgresOptions): ServiceDefinition {
  return {
    name: 'postgres',
    logFile: options.logFile,
    launch: (context) => launch(options, context),
    // backends outlive a killed postmaster for a moment
    settle: () => reapCluster(options.dataDir),
  };
}

/** Deletes the data of a stopped server, and the folder that was made for nothing but them. */
export async function removePostgresData(dataDir: string): Promise<void> {
  await rm(dataDir, { recursive: true, force: true });
  // a project's state folder holds more than this and stays; one of root's public ones is empty now
  if (isPublicFolder(dataDir)) await rmdir(path.dirname(dataDir)).catch(ignoreNotEmpty);
}

function ignoreNotEmpty(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error;
}

async function launch(options: PostgresOptions, context: LaunchContext): Promise<RunningService> {
  const user = await unprivilegedUser();
  const binaries = await postgresBinaries(user);
  await prepareCluster(options.dataDir, { binaries, user, password: options.adminPassword });
  for (let attempt = 1; ; attempt++) {
    context.signal.throwIfAborted();
    const port = context.port || (await freeTcpPort());
    const args = Object.entries(settings(port)).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const process = await spawnService(
      { command: binaries.postgres, args: ['-D', options.dataDir, ...args], env: postgresEnv, user },
      context.log,
    );
    context.spawned(process, port);
    try {
      await untilReady(process, superuserUrl(port, options.adminPassword), context.signal);
      // the URL without its password: it stands in tables and logs
      const url = `postgresql://${loopback}:${port}/postgres`;
      return { process, url, port, version: binaries.version };
    } catch (error) {
      const portTaken = /could not create any TCP\/IP sockets|Address already in use/i.test(messageOf(error));
      await process.end([
        ['SIGINT', 3000],
        ['SIGKILL', 3000],
      ]);
      await reapCluster(options.dataDir);
      if (!portTaken || context.port !== 0 || attempt === portAttempts) throw error;
    }
  }
}

async function untilReady(process: ServiceProcess, url: string, signal: AbortSignal): Promise<void> {
  const endsAt = performance.now() + readyMs;
  let trouble: unknown = new Error('no attempt was made');
  while (performance.now() < endsAt) {
    if (process.exit !== undefined) throw new Error(describeExit(process.exit));
    try {
      await askPostgres(url, 'trollfix start');
      return;
    } catch (error) {
      // 28P01 will not get better by waiting
      if (hasCode(error, '28P01'))
        throw new Error(`the data directory has another password: ${messageOf(error)}`);
      trouble = error;
    }
    await sleep(20, signal);
  }
  throw new Error(`not ready within ${readyMs} ms: ${messageOf(trouble)}`);
}

/** One connection, one query. @throws what the server or the way to it says */
export async function askPostgres(url: string, applicationName: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    query_timeout: connectMs,
    application_name: applicationName,
  });
  // a connection that breaks while idle must not be an unhandled error
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => {});
  }
}

function hasCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
