import type pg from 'pg';
import { supabaseFileName } from './export-supabase.ts';
import { bookChanges, type DatabaseObject, readInventory } from './inventory.ts';
import type { Migration } from './migrations.ts';
import { recordMigrationSql, supabaseHistoryExistsSql, supabaseHistorySql } from './registry.sql.ts';

/**
 * Takes over migrations that the Supabase CLI applied (`provision --export-supabase`, then `supabase db push`): they are
 * booked as applied, and their objects as they are now. Gives the names of those taken over.
 *
 * Runs in a transaction of the caller's, under the provisioning lock.
 */
export async function adoptSupabaseHistory(
  client: pg.PoolClient,
  pending: readonly Migration[],
  toolVersion: string,
): Promise<string[]> {
  const { rows: history } = await client.query<{ present: boolean }>(supabaseHistoryExistsSql);
  if (pending.length === 0 || !history[0]?.present) return [];
  const versions = new Map(pending.map((migration) => [supabaseVersion(migration), migration]));
  const { rows } = await client.query<{ version: string }>(supabaseHistorySql, [[...versions.keys()]]);
  const adopted = rows.flatMap(({ version }) => versions.get(version) ?? []);
  if (adopted.length === 0) return [];
  for (const { name, checksum } of adopted)
    await client.query(recordMigrationSql, [name, checksum, toolVersion]);
  const isOurs = ownedBy(adopted);
  const present = [...(await readInventory(client))].filter(([, object]) => isOurs(object));
  await bookChanges(client, new Map(), new Map(present));
  return adopted.map(({ name }) => name);
}

function supabaseVersion({ name }: Migration): string {
  return supabaseFileName(name).split('_')[0] ?? '';
}

/** Which objects these migrations made, told from what they create: we were not there to see it. */
function ownedBy(migrations: readonly Migration[]): (object: DatabaseObject) => boolean {
  const sql = migrations.map((migration) => migration.sql).join('\n');
  const named = (pattern: RegExp) => [...sql.matchAll(pattern)].map(([, name]) => `public.${name}`);
  const relations = named(/create (?:unlogged )?(?:table|view) public\.(\w+)/g);
  const routines = named(/create (?:function|procedure) public\.(\w+)/g);
  return ({ identity }) =>
    identity.includes('trollfix') ||
    routines.some((name) => identity.startsWith(`${name}(`)) ||
    // the relation itself, what stands on it, and indexes and sequences, which are named after it
    relations.some(
      (name) => identity === name || identity.endsWith(` on ${name}`) || identity.startsWith(`${name}_`),
    );
}
