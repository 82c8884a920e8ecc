import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { sleep } from '../../../src/kernel/clock.ts';
import { freeTcpPort, loopback } from '../../../src/local/free-port.ts';
import { LogTail } from '../../../src/local/log-tail.ts';
import { applyPlatform } from '../../../src/local/platform-sql.ts';
import { askPostgres, databaseUrl, superuserUrl } from '../../../src/local/postgres.ts';
import { postgresDataDir, postgresEnv, reapCluster, superuser } from '../../../src/local/postgres-cluster.ts';
import { type ServiceProcess, spawnService } from '../../../src/local/service-process.ts';
import { type UnprivilegedUser, unprivilegedUser } from '../../../src/local/unprivileged-user.ts';
import { platform15Sql } from './postgres-15.sql.ts';
import { makeTempStateDir } from './temp-state.ts';

const binDir = '/usr/lib/postgresql/15/bin';
const cronLibrary = '/usr/lib/postgresql/15/lib/pg_cron.so';

/** The README has the same line, and .ci/system-packages runs it. */
const aptLine = 'apt-get install -y --no-install-recommends postgresql-15 postgresql-15-cron';

/**
 * Why the tests against Debian's PostgreSQL 15 and pg_cron cannot run here, or undefined when they can.
 * @throws in CI, where what is missing is an error and no reason to skip
 */
export function whyNoPostgres15(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const missing = [`${binDir}/postgres`, cronLibrary].filter((file) => !existsSync(file));
  if (missing.length === 0) return undefined;
  const reason = `${missing.join(' and ')} are not here: ${aptLine}`;
  if (env.CI) throw new Error(reason);
  return reason;
}

/** How long a start may take on a starved machine; 0.3 s is usual. */
const readyMs = 30_000;

/**
 * Debian's own PostgreSQL 15 with pg_cron, on loopback in a temporary folder, with what hosted Supabase gives a project
 * before the first migration. Jobs run over connections, as Debian has it: with background workers pg_cron 1.4 waits for
 * each job to end before it looks at the next (measured: a failed job stood as `running` for 75 s behind a long one).
 */
export class Postgres15 implements AsyncDisposable {
  /** As the superuser. */
  readonly adminUrl: string;
  /** As `postgres`, which owns the database and is no superuser. */
  readonly databaseUrl: string;
  readonly #dataDir: string;
  readonly #log: LogTail;
  readonly #user: UnprivilegedUser | undefined;
  readonly #port: number;
  readonly #remove: () => Promise<void>;
  #process: ServiceProcess | undefined;

  private constructor(place: Place, passwords: Passwords) {
    this.#dataDir = place.dataDir;
    this.#log = place.log;
    this.#user = place.user;
    this.#port = place.port;
    this.#remove = place.remove;
    this.adminUrl = superuserUrl(place.port, passwords.admin);
    this.databaseUrl = databaseUrl('postgres', passwords.owner, place.port);
  }

  static async start(settings: ServerSettings): Promise<Postgres15> {
    const temp = await makeTempStateDir();
    const user = await unprivilegedUser();
    const dataDir = await postgresDataDir(temp.dir, user);
    const log = await LogTail.open(path.join(temp.dir, 'postgres-15.log'));
    const passwords = { admin: randomBytes(12).toString('hex'), owner: randomBytes(12).toString('hex') };
    const place = { dataDir, log, user, port: await freeTcpPort(), remove: temp.remove };
    const server = new Postgres15(place, passwords);
    try {
      await createCluster(dataDir, user, passwords);
      await server.#launch(settings);
      await applyPlatform(server.adminUrl, platform15Sql(pg.escapeLiteral(passwords.owner)));
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Stops it as `pg_ctl stop -m fast` does, and starts it on the same port with other settings. */
  async restart(settings: ServerSettings): Promise<void> {
    await this.#stop();
    await this.#launch(settings);
  }

  async #launch({ maxRunningJobs }: ServerSettings): Promise<void> {
    const options = {
      listen_addresses: loopback,
      port: this.#port,
      unix_socket_directories: '',
      wal_level: 'logical',
      max_prepared_transactions: 5,
      shared_preload_libraries: 'pg_cron',
      timezone: 'UTC',
      'cron.database_name': 'postgres',
      'cron.host': loopback,
      'cron.max_running_jobs': maxRunningJobs,
    };
    const args = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const what = { command: `${binDir}/postgres`, args: ['-D', this.#dataDir, ...args] };
    // pg_cron dials its own server as the role of each job
    const env = { ...postgresEnv, PGPASSFILE: passFile(this.#dataDir) };
    this.#process = await spawnService({ ...what, env, user: this.#user }, this.#log);
    const endsAt = performance.now() + readyMs;
    while (true) {
      try {
        return await askPostgres(this.adminUrl, 'trollfix start');
      } catch (error) {
        if (performance.now() > endsAt || this.#process.exit !== undefined) throw error;
      }
      await sleep(50);
    }
  }

  async #stop(): Promise<void> {
    await this.#process?.end([
      ['SIGINT', 10_000],
      ['SIGKILL', 3000],
    ]);
    await reapCluster(this.#dataDir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#remove();
  }
}

export interface ServerSettings {
  readonly maxRunningJobs: number;
}

interface Place {
  readonly dataDir: string;
  readonly log: LogTail;
  readonly user: UnprivilegedUser | undefined;
  readonly port: number;
  readonly remove: () => Promise<void>;
}

interface Passwords {
  readonly admin: string;
  readonly owner: string;
}

function passFile(dataDir: string): string {
  return path.join(path.dirname(dataDir), 'pgpass');
}

async function createCluster(
  dataDir: string,
  user: UnprivilegedUser | undefined,
  passwords: Passwords,
): Promise<void> {
  await mkdir(dataDir, { mode: 0o700 });
  const files = {
    [path.join(path.dirname(dataDir), 'password')]: passwords.admin,
    [passFile(dataDir)]: `*:*:*:${superuser}:${passwords.admin}\n*:*:*:postgres:${passwords.owner}`,
  };
  for (const [file, text] of Object.entries(files)) await writeFile(file, `${text}\n`, { mode: 0o600 });
  if (user !== undefined) {
    for (const file of [dataDir, ...Object.keys(files)]) await chown(file, user.uid, user.gid);
  }
  const args = [
    ...[
      `--pgdata=${dataDir}`,
      `--username=${superuser}`,
      `--pwfile=${path.join(path.dirname(dataDir), 'password')}`,
    ],
    ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'],
  ];
  await promisify(execFile)(`${binDir}/initdb`, args, {
    ...{ cwd: '/', env: { ...postgresEnv }, timeout: 60_000 },
    ...(user ? { uid: user.uid, gid: user.gid } : {}),
  });
}
