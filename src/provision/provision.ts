import type pg from 'pg';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { Logger, Progress } from '../kernel/log.ts';
import { packageVersion } from '../kernel/package-root.ts';
import { databaseError, sqlStateOf, withConnection } from '../target/postgres/pool.ts';
import { adoptSupabaseHistory } from './adopt.ts';
import { bookChanges, readInventory } from './inventory.ts';
import { type Migration, readMigrations } from './migrations.ts';
import {
  appliedSql,
  attachPlatformSql,
  createRegistrySql,
  lockSql,
  recordMigrationSql,
  registryExistsSql,
} from './registry.sql.ts';
import { scheduleNote, scheduleTroubles } from './schedule.ts';

export interface ProvisionOptions {
  /** Only says what would be done, inside a read-only transaction. */
  readonly dryRun?: boolean;
  /** Other migrations than those shipped; for tests. */
  readonly migrations?: readonly Migration[];
  readonly log: Logger;
  readonly progress: Progress;
  /** Checked between migrations: a started one is finished or rolled back whole. */
  readonly signal?: AbortSignal;
}

/** Who settles gifts on this database, as `trollfix.attach_schedule()` answers. */
export interface Schedule {
  readonly kind: 'pg_cron' | 'settler' | 'unknown';
  readonly schedule?: string;
  readonly command?: string;
  readonly changed?: boolean;
  /** Why it is the settler's. */
  readonly reason?: string;
  /** What is particular about it: that this pg_cron knows no seconds. */
  readonly note?: string;
  readonly version?: string;
}

export interface ProvisionResult {
  /** Names of the migrations this call applied. */
  readonly applied: string[];
  /** Names of those that are not applied: after a dry run, what would be; else empty. */
  readonly pending: string[];
  readonly schedule: Schedule;
  /** Tables added to the publication, and parts of the platform that this role may not tie to. */
  readonly publication: string[];
  readonly problems: ReadonlyArray<{ part: string; sqlstate: string; message: string }>;
  /** With dryRun: all that would be run. */
  readonly sql?: string;
}

/** What stands between the migrations shipped and those the database says it has. */
export interface MigrationState {
  /** Whether trollfix has books in this database at all. */
  readonly registered: boolean;
  readonly pending: Migration[];
  /** Applied with another text than the file has now. */
  readonly edited: string[];
  /** Applied, but not among the files: the database is newer than this trollfix, or a file was removed. */
  readonly unknown: string[];
}

/** A migration that waits longer than this for a lock gives up and is rolled back: something holds a table. */
const lockTimeout = '60s';

interface Attachment {
  readonly schedule?: Schedule;
  readonly publication?: string[];
  readonly problems: ReadonlyArray<{ part: string; sqlstate: string; message: string }>;
}

/**
 * Brings the database to the schema of this version: pending migrations, each in a transaction of its own, then
 * publication, policies, sign-up trigger and settlement schedule. Safe to call again and from several processes at once.
 *
 * @throws TF-DB-001, TF-DB-002; TF-PROV-001 when an applied migration was edited or is unknown here; TF-PROV-002 when
 *   one fails, which is then rolled back whole
 */
export async function provision(pool: pg.Pool, options: ProvisionOptions): Promise<ProvisionResult> {
  const migrations = options.migrations ?? (await readMigrations());
  return withConnection(pool, (client) =>
    options.dryRun === true ? dryRun(client, migrations) : applyAll(client, migrations, options),
  );
}

/** Compares files and database. An empty database has everything pending. */
export async function migrationState(
  database: Pick<pg.ClientBase, 'query'>,
  migrations: readonly Migration[],
): Promise<MigrationState> {
  const { rows: registry } = await database.query<{ present: boolean }>(registryExistsSql);
  const registered = registry[0]?.present === true;
  const applied = registered
    ? (await database.query<{ name: string; checksum: string }>(appliedSql)).rows
    : [];
  const checksums = new Map(applied.map(({ name, checksum }) => [name, checksum]));
  const names = new Set(migrations.map(({ name }) => name));
  return {
    registered,
    pending: migrations.filter(({ name }) => !checksums.has(name)),
    edited: migrations
      .filter(({ name, checksum }) => checksums.has(name) && checksums.get(name) !== checksum)
      .map(({ name }) => name),
    unknown: applied.filter(({ name }) => !names.has(name)).map(({ name }) => name),
  };
}

async function dryRun(client: pg.PoolClient, migrations: readonly Migration[]): Promise<ProvisionResult> {
  await client.query('begin transaction read only');
  try {
    const state = await migrationState(client, migrations);
    refuseForeignHistory(state);
    const parts = [
      ...(state.registered ? [] : [`-- trollfix's own books\n${createRegistrySql.trim()}`]),
      ...state.pending.map(({ name, checksum, sql }) => `-- ${name}.sql (sha256 ${checksum})\n${sql.trim()}`),
      `-- publication, Realtime policies, sign-up trigger, settlement schedule: only what is missing\n${attachPlatformSql};`,
    ];
    return {
      applied: [],
      pending: state.pending.map(({ name }) => name),
      schedule: { kind: 'unknown' },
      publication: [],
      problems: [],
      sql: `${parts.join('\n\n')}\n`,
    };
  } finally {
    await client.query('rollback');
  }
}

async function applyAll(
  client: pg.PoolClient,
  migrations: readonly Migration[],
  options: ProvisionOptions,
): Promise<ProvisionResult> {
  await inTransaction(client, () => client.query(createRegistrySql));
  const adopted = await inTransaction(client, async () => {
    const { pending } = await migrationState(client, migrations);
    return adoptSupabaseHistory(client, pending, packageVersion());
  });
  if (adopted.length > 0) {
    options.progress({ kind: 'note', text: `${adopted.length} migrations were applied by the Supabase CLI` });
  }
  const applied: string[] = [];
  for (const migration of migrations) {
    options.signal?.throwIfAborted();
    if (await applyOne(client, migration, migrations)) {
      applied.push(migration.name);
      options.log.debug('migration applied', { name: migration.name });
      options.progress({ kind: 'note', text: `migration ${migration.name}` });
    }
  }
  const attached = await inTransaction(client, () => attachPlatform(client));
  for (const problem of attached.problems) {
    options.log.warn(`${problem.part} could not be set up: ${problem.message}`, {
      sqlstate: problem.sqlstate,
    });
  }
  const schedule = attached.schedule ?? { kind: 'unknown' };
  const note = schedule.kind === 'unknown' ? '' : scheduleNote({ ...schedule, kind: schedule.kind });
  return {
    applied,
    pending: [],
    schedule: { ...schedule, ...(note === '' ? {} : { note }) },
    publication: attached.publication ?? [],
    problems: attached.problems,
  };
}

/** What of the platform was missing is put there; what still is not as it should be afterwards is a problem too. */
async function attachPlatform(client: pg.PoolClient): Promise<Attachment> {
  const before = await readInventory(client);
  const { rows } = await client.query<{ result: Attachment }>(attachPlatformSql);
  await bookChanges(client, before, await readInventory(client));
  const attached = rows[0]?.result ?? { problems: [] };
  // what could not be scheduled is told already, in the database's own words
  if (attached.problems.some(({ part }) => part === 'schedule')) return attached;
  const troubles = await scheduleTroubles(client);
  const more = troubles.map(({ identity, detail }) => ({
    ...{ part: 'schedule', sqlstate: '', message: `${identity}: ${detail}` },
  }));
  return { ...attached, problems: [...attached.problems, ...more] };
}

/** False when the database has it already, perhaps because another provision just put it there. */
async function applyOne(
  client: pg.PoolClient,
  migration: Migration,
  migrations: readonly Migration[],
): Promise<boolean> {
  return inTransaction(client, async () => {
    // under the lock: what is pending now stays pending until we are done
    const state = await migrationState(client, migrations);
    refuseForeignHistory(state);
    if (!state.pending.some(({ name }) => name === migration.name)) return false;
    const before = await readInventory(client);
    try {
      await client.query(migration.sql);
    } catch (error) {
      throw migrationError(migration, error);
    }
    await bookChanges(client, before, await readInventory(client));
    await client.query(recordMigrationSql, [migration.name, migration.checksum, packageVersion()]);
    return true;
  });
}

/** One provisioning step: its own transaction, one at a time over all processes. */
async function inTransaction<T>(client: pg.PoolClient, work: () => Promise<T>): Promise<T> {
  await client.query(`begin; set local lock_timeout = '${lockTimeout}'; set local statement_timeout = 0`);
  try {
    await client.query(lockSql);
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {}); // the connection may be what failed; the server rolls back then
    throw error;
  }
}

function refuseForeignHistory({ edited, unknown }: MigrationState): void {
  if (edited.length > 0) {
    throw new TrollfixError(
      'TF-PROV-001',
      `applied migrations were edited afterwards: ${edited.join(', ')}`,
      {
        why: 'migrations are immutable: what the database has is not what the file says now',
        hint: 'restore the files, and put the change into a new migration',
      },
    );
  }
  if (unknown.length > 0) {
    throw new TrollfixError(
      'TF-PROV-001',
      `the database has migrations this trollfix does not know: ${unknown.join(', ')}`,
      {
        why: 'it was provisioned by a newer version',
        hint: 'use that version, or a later one',
      },
    );
  }
}

function migrationError(migration: Migration, error: unknown): Error {
  const known = databaseError(error);
  if (known instanceof TrollfixError && known.code !== 'TF-DB-003') return known;
  // node-postgres puts the character position of a syntax or name error here, as text
  const position = Number((error as { position?: string }).position ?? Number.NaN);
  const line = Number.isFinite(position) ? migration.sql.slice(0, position).split('\n').length : undefined;
  return new TrollfixError('TF-PROV-002', `migration ${migration.name} failed: ${messageOf(error)}`, {
    why: `SQLSTATE ${sqlStateOf(error) || 'none'}${line === undefined ? '' : `, line ${line} of the file`}`,
    cause: error,
    details: { migration: migration.name, sqlstate: sqlStateOf(error), line: line ?? null },
  });
}
