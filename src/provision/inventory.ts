import type pg from 'pg';
import { inventorySql, readSearchPathSql, setSearchPathSql } from './inventory.sql.ts';
import { forgetObjectsSql, recordObjectsSql, registeredObjectsSql } from './registry.sql.ts';

/** A database object and a text that changes when it does. */
export interface DatabaseObject {
  readonly kind: string;
  readonly identity: string;
  readonly definition: string;
}

export type Inventory = ReadonlyMap<string, DatabaseObject>;

type Queryable = Pick<pg.ClientBase, 'query'>;

/**
 * What is there now. Needs a transaction: the server prints names with or without their schema as search_path says, so
 * it is emptied for the reading and put back afterwards.
 */
export async function readInventory(database: Queryable): Promise<Inventory> {
  const { rows: saved } = await database.query<{ path: string }>(readSearchPathSql);
  await database.query(setSearchPathSql, ['']);
  const { rows } = await database.query<DatabaseObject>(inventorySql);
  await database.query(setSearchPathSql, [saved[0]?.path ?? '']);
  return keyed(rows);
}

/** What was there when our migrations had made it. */
export async function readRegistered(database: Queryable): Promise<Inventory> {
  return keyed((await database.query<DatabaseObject>(registeredObjectsSql)).rows);
}

/**
 * Books what a step changed: what it made or altered is ours and is remembered as it is now, what it dropped is
 * forgotten. Objects that the step did not touch keep their entry, so drift that was there before stays visible.
 */
export async function bookChanges(database: Queryable, before: Inventory, after: Inventory): Promise<void> {
  const made = [...after]
    .filter(([key, now]) => before.get(key)?.definition !== now.definition)
    .map(([, o]) => o);
  const gone = [...before].filter(([key]) => !after.has(key)).map(([, object]) => object);
  if (made.length > 0) await database.query(recordObjectsSql, [JSON.stringify(made)]);
  if (gone.length > 0) await database.query(forgetObjectsSql, [JSON.stringify(gone)]);
}

function keyed(objects: readonly DatabaseObject[]): Inventory {
  return new Map(objects.map((object) => [`${object.kind} ${object.identity}`, object]));
}
