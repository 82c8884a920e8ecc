import type pg from 'pg';
import type { Target } from '../config/target.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { databaseError, openDatabase } from '../target/postgres/pool.ts';
import type { CommandContext } from './command.ts';

/**
 * Opens the database of the context's target for as long as `work` runs.
 * @throws TF-CFG-005 when the target has no database URL; what a failed query means, as `databaseError` says
 */
export async function withDatabase<T>(
  context: CommandContext,
  purpose: string,
  work: (database: pg.Pool, target: Target) => Promise<T>,
): Promise<T> {
  const target = await context.target();
  return withDatabaseOf(target, purpose, (database) => work(database, target));
}

/** The same for a target that is at hand. */
export async function withDatabaseOf<T>(
  target: Target,
  purpose: string,
  work: (database: pg.Pool) => Promise<T>,
): Promise<T> {
  const database = openDatabase(databaseUrlOf(target), { max: 2, applicationName: `trollfix ${purpose}` });
  try {
    return await work(database);
  } catch (error) {
    throw databaseError(error);
  } finally {
    await database.end();
  }
}

/** @throws TF-CFG-005 when the target has none */
export function databaseUrlOf(target: Target): string {
  if (target.databaseUrl === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${target.name}" has no databaseUrl`, {
      hint: 'set DATABASE_URL (TROLLFIX_DATABASE_URL), or databaseUrl in trollfix.yaml',
    });
  }
  return target.databaseUrl.reveal();
}
