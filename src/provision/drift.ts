import type pg from 'pg';
import { withConnection } from '../target/postgres/pool.ts';
import { type DatabaseObject, type Inventory, readInventory, readRegistered } from './inventory.ts';
import { type Migration, readMigrations } from './migrations.ts';
import { migrationState } from './provision.ts';
import { scheduleTroubles } from './schedule.ts';

export interface DriftItem {
  /** `migration`, `schedule`, or the kind of the object: table, grants, function, policy, trigger … */
  readonly kind: string;
  readonly identity: string;
  readonly problem: 'pending' | 'edited' | 'unknown' | 'missing' | 'changed' | 'unexpected' | 'wrong';
  /** What differs, in one line. */
  readonly detail: string;
}

export interface DriftReport {
  readonly drift: readonly DriftItem[];
  /** Objects compared with what they were when our migrations made them. */
  readonly objectsChecked: number;
  readonly migrationsApplied: number;
}

/**
 * Compares the database with what provisioning left: migrations (pending, edited, unknown), every object they made
 * (missing, changed, or something put beside it that opens a table), the publication, the settlement schedule.
 * Reads only, in one read-only transaction.
 *
 * @throws TF-DB-001, TF-DB-002
 */
export async function checkDrift(
  pool: pg.Pool,
  options: { migrations?: readonly Migration[] } = {},
): Promise<DriftReport> {
  const migrations = options.migrations ?? (await readMigrations());
  return withConnection(pool, async (client) => {
    await client.query('begin transaction isolation level repeatable read read only');
    const report = await readDrift(client, migrations);
    await client.query('rollback');
    return report;
  });
}

async function readDrift(client: pg.PoolClient, migrations: readonly Migration[]): Promise<DriftReport> {
  const state = await migrationState(client, migrations);
  const drift: DriftItem[] = [
    ...state.pending.map(({ name }) => migrationDrift(name, 'pending', 'not applied yet')),
    ...state.edited.map((name) => migrationDrift(name, 'edited', 'the file is not what was applied')),
    ...state.unknown.map((name) => migrationDrift(name, 'unknown', 'applied, but not part of this version')),
  ];
  if (!state.registered) return { drift, objectsChecked: 0, migrationsApplied: 0 };

  const registered = await readRegistered(client);
  drift.push(...compareObjects(registered, await readInventory(client)));
  const applied = migrations.length - state.pending.length;
  if (applied > 0 && state.pending.length === 0) {
    const troubles = await scheduleTroubles(client);
    drift.push(
      ...troubles.map(({ identity, detail }) => ({
        kind: 'schedule',
        identity,
        problem: 'wrong' as const,
        detail,
      })),
    );
  }
  return { drift, objectsChecked: registered.size, migrationsApplied: applied };
}

function migrationDrift(identity: string, problem: DriftItem['problem'], detail: string): DriftItem {
  return { kind: 'migration', identity, problem, detail };
}

/** Pure: what was booked against what is there. */
export function compareObjects(registered: Inventory, present: Inventory): DriftItem[] {
  const drift: DriftItem[] = [];
  for (const [key, then] of registered) {
    const now = present.get(key);
    if (now === undefined) {
      drift.push({
        kind: then.kind,
        identity: then.identity,
        problem: 'missing',
        detail: missingDetail(then),
      });
    } else if (now.definition !== then.definition) {
      drift.push({
        kind: then.kind,
        identity: then.identity,
        problem: 'changed',
        detail: firstDifference(then, now),
      });
    }
  }
  for (const [key, now] of present) {
    if (!registered.has(key) && opensSomething(now, registered)) {
      drift.push({
        kind: now.kind,
        identity: now.identity,
        problem: 'unexpected',
        detail: 'not made by a migration of ours',
      });
    }
  }
  return drift;
}

/** Other people's objects are theirs; a policy or trigger on one of our tables, or anything in our schema, is not. */
function opensSomething(object: DatabaseObject, registered: Inventory): boolean {
  if (object.kind === 'policy' || object.kind === 'trigger') {
    const table = object.identity.slice(object.identity.indexOf(' on ') + ' on '.length);
    return registered.has(`table ${table}`);
  }
  return object.identity.startsWith('trollfix.');
}

function missingDetail({ kind }: DatabaseObject): string {
  return kind === 'published table'
    ? 'not in publication supabase_realtime: no Postgres Changes'
    : 'not there any more';
}

function firstDifference(then: DatabaseObject, now: DatabaseObject): string {
  const [before, after] = [then.definition.split('\n'), now.definition.split('\n')];
  const at = before.findIndex((line, i) => line !== after[i]);
  const [was, is] = [before[at] ?? '', after[at === -1 ? before.length : at] ?? ''].map(shortened);
  return `was "${was}", is "${is}"`;
}

function shortened(line: string): string {
  const text = line.trim();
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
