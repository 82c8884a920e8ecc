import type pg from 'pg';
import { databaseError } from '../target/postgres/pool.ts';
import { heldSnapshotSql, serverFactsSql, tablesWithoutRlsSql, unpublishedSql } from './doctor.sql.ts';
import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';
import { checkDrift } from './drift.ts';
import { readMigrations } from './migrations.ts';
import { migrationState } from './provision.ts';

/** PostgreSQL 15 brought security_invoker views, which ours are. */
const oldestVersion = 150_000;
/** LiveKit refuses tokens more than 60 s off; half of that leaves time to act. */
const skewLimitMs = 30_000;
/** Two round trips and a busy machine explain this much. */
const skewNoticeMs = 2_000;

export const databaseChecks: readonly CheckDefinition[] = [
  { id: 'database.reachable', title: 'PostgreSQL answers', run: reachable },
  { id: 'database.version', title: 'PostgreSQL 15 or later', needs: 'database.reachable', run: version },
  { id: 'database.clock', title: 'clocks agree', needs: 'database.reachable', run: clockSkew },
  {
    id: 'database.wal_level',
    title: 'logical WAL for Postgres Changes',
    needs: 'database.reachable',
    run: walLevel,
  },
  { id: 'schema.current', title: 'schema is current', needs: 'database.reachable', run: schemaCurrent },
  {
    id: 'schema.drift',
    title: 'schema is what the migrations made',
    needs: 'schema.current',
    run: schemaDrift,
  },
  { id: 'schema.rls', title: 'row level security everywhere', needs: 'database.reachable', run: rowSecurity },
  {
    id: 'realtime.publication',
    title: 'tables are published to Realtime',
    needs: 'schema.current',
    run: publication,
  },
  {
    id: 'database.snapshots',
    title: 'no snapshot is held for long',
    needs: 'database.reachable',
    run: heldSnapshot,
  },
];

interface ServerFacts {
  version: string;
  version_num: number;
  wal_level: string;
  role: string;
  now: Date;
}

async function facts(context: DoctorContext): Promise<ServerFacts> {
  const { rows } = await query<ServerFacts>(context, serverFactsSql);
  const row = rows[0];
  if (row === undefined) throw new Error('the server gave no facts about itself'); // a select without from has one row
  return row;
}

/** A query of the doctor's; the checks that use it need `database.reachable`, which is skipped without a pool. */
export async function query<T extends pg.QueryResultRow>(
  { database }: DoctorContext,
  sql: string,
  values?: unknown[],
): Promise<pg.QueryResult<T>> {
  if (database === undefined) throw new Error('no database to ask');
  try {
    return await database.query<T>(sql, values);
  } catch (error) {
    throw databaseError(error);
  }
}

async function reachable(context: DoctorContext): Promise<Finding> {
  if (context.database === undefined) {
    return {
      status: 'skip',
      detail: 'the target has no databaseUrl',
      fix: 'export TROLLFIX_DATABASE_URL=postgres://…',
    };
  }
  const beganMs = context.clock.monotonicMs();
  const { version: name, role } = await facts(context);
  const ms = context.clock.monotonicMs() - beganMs;
  return { status: 'ok', detail: `PostgreSQL ${name} as ${role}, first answer after ${ms.toFixed(0)} ms` };
}

async function version(context: DoctorContext): Promise<Finding> {
  const { version: name, version_num: number } = await facts(context);
  return number >= oldestVersion
    ? { status: 'ok', detail: name }
    : { status: 'fail', detail: `${name} is too old`, fix: 'upgrade the server to PostgreSQL 15 or later' };
}

async function clockSkew(context: DoctorContext): Promise<Finding> {
  const before = context.clock.now();
  const { now } = await facts(context);
  const after = context.clock.now();
  // what the server said lies somewhere between our two readings
  const skewMs = Math.max(before - now.getTime(), now.getTime() - after, 0);
  const detail = `${(skewMs / 1000).toFixed(1)} s apart`;
  if (skewMs > skewLimitMs) {
    return { status: 'fail', detail: `${detail}: tokens will be refused`, fix: 'timedatectl set-ntp true' };
  }
  if (skewMs > skewNoticeMs) return { status: 'warn', detail, fix: 'timedatectl set-ntp true' };
  return { status: 'ok', detail };
}

async function walLevel(context: DoctorContext): Promise<Finding> {
  const { wal_level: level } = await facts(context);
  if (level === 'logical') return { status: 'ok', detail: level };
  return {
    status: 'fail',
    detail: `wal_level is ${level}: Postgres Changes cannot be decoded`,
    fix: "psql -c 'alter system set wal_level = logical' and restart the server",
  };
}

async function schemaCurrent(context: DoctorContext): Promise<Finding> {
  if (context.database === undefined) throw new Error('no database to ask');
  const migrations = await readMigrations();
  const state = await migrationState(context.database, migrations);
  if (state.edited.length + state.unknown.length > 0) {
    const names = [...state.edited, ...state.unknown].join(', ');
    return {
      status: 'fail',
      detail: `not this version's history: ${names}`,
      fix: 'trollfix provision --check',
    };
  }
  if (state.pending.length > 0) {
    return {
      status: 'fail',
      detail: `${state.pending.length} of ${migrations.length} migrations are not applied`,
      fix: 'trollfix provision',
    };
  }
  return { status: 'ok', detail: `${migrations.length} migrations` };
}

async function schemaDrift(context: DoctorContext): Promise<Finding> {
  if (context.database === undefined) throw new Error('no database to ask');
  const { drift, objectsChecked } = await checkDrift(context.database);
  const found = drift.filter(({ kind }) => kind !== 'schedule'); // the schedule has a check of its own
  const first = found[0];
  if (first === undefined) return { status: 'ok', detail: `${objectsChecked} objects` };
  return {
    status: 'fail',
    detail: `${found.length} differ, first ${first.kind} ${first.identity}: ${first.problem}`,
    fix: 'trollfix provision --check',
  };
}

async function rowSecurity(context: DoctorContext): Promise<Finding> {
  const { rows } = await query<{ name: string; reachable: boolean }>(context, tablesWithoutRlsSql);
  const open = rows.filter((row) => row.reachable).map(({ name }) => name);
  if (open.length > 0) {
    return {
      status: 'fail',
      detail: `anybody with the anon key reaches ${open.join(', ')} of schema public`,
      fix: `psql -c 'alter table public.${open[0]} enable row level security'`,
    };
  }
  if (rows.length > 0) {
    const names = rows.map(({ name }) => name).join(', ');
    return { status: 'warn', detail: `without row level security, but not granted to clients: ${names}` };
  }
  return { status: 'ok', detail: 'on for every table of schema public' };
}

async function publication(context: DoctorContext): Promise<Finding> {
  const { rows } = await query<{ name: string }>(context, unpublishedSql);
  if (rows.length === 0) return { status: 'ok', detail: 'supabase_realtime has all five' };
  const names = rows.map(({ name }) => name).join(', ');
  return { status: 'fail', detail: `not in supabase_realtime: ${names}`, fix: 'trollfix provision' };
}

/** What holds old row versions back, as the server shows it. */
export interface HeldSnapshot {
  readonly kind: 'session' | 'prepared' | 'slot';
  readonly name: string;
  readonly who: string;
  /** null of a slot, which has no time. */
  readonly held_s: number | null;
  /** Of a slot. */
  readonly transactions: number | null;
}

/** A round of 20,000 gifts a second leaves a million dead queue rows in a minute, which cost each round 60 ms. */
const longSnapshotS = 60;
/** About as many transactions as rounds, senders and a page of readers make in a minute under load. */
const longSnapshotTransactions = 100_000;

async function heldSnapshot(context: DoctorContext): Promise<Finding> {
  const { rows } = await query<HeldSnapshot>(context, heldSnapshotSql, [
    longSnapshotS,
    longSnapshotTransactions,
  ]);
  return judgeHeld(rows);
}

/** Pure. @param rows longest first */
export function judgeHeld(rows: readonly HeldSnapshot[]): Finding {
  const held = rows[0];
  if (held === undefined) return { status: 'ok', detail: `none older than ${longSnapshotS} s` };
  const { kind, name, who } = held;
  const more = rows.length > 1 ? `; and ${rows.length - 1} more` : '';
  const seconds = (held.held_s ?? 0).toFixed(0);
  const what = {
    session: `pid ${name} (${who}) holds one for ${seconds} s`,
    prepared: `the prepared transaction ${name} of ${who} holds one for ${seconds} s`,
    slot: `replication slot ${name} (${who}) holds row versions back for ${held.transactions ?? 0} transactions`,
  }[kind];
  const fix = {
    session: `psql -c 'select pg_terminate_backend(${name})'`,
    prepared: `psql -c "rollback prepared '${name}'"`,
    slot: `psql -c "select pg_drop_replication_slot('${name}')"`,
  }[kind];
  return { status: 'warn', detail: `${what}${more}: settled queue rows pile up`, fix };
}
