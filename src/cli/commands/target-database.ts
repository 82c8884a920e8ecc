import type pg from 'pg';
import type { Target } from '../../config/target.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { openDatabase } from '../../target/postgres/pool.ts';
import type { CommandContext } from '../command.ts';

/**
 * Opens the target's database for as long as `work` runs.
 * @throws TF-CFG-005 when the target has no database URL
 */
export async function withDatabase<T>(
  context: CommandContext,
  purpose: string,
  work: (database: pg.Pool, target: Target) => Promise<T>,
): Promise<T> {
  const target = await context.target();
  const database = openDatabase(databaseUrlOf(target), { max: 2, applicationName: `trollfix ${purpose}` });
  try {
    return await work(database, target);
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
