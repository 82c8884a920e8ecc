import { TrollfixError } from '../../kernel/errors.ts';
import { purgeRun } from '../../run/session.ts';
import { databaseError, openDatabase } from '../../target/postgres/pool.ts';
import type { CommandRun } from '../command.ts';

/** Removes what a run wrote and could not remove itself, because it was killed. */
export const cleanupRun: CommandRun = async (context, input) => {
  const target = await context.target();
  const runId = String(input.arguments.run);
  if (target.databaseUrl === undefined) {
    throw new TrollfixError('TF-CFG-005', `target ${target.name} has no databaseUrl`, {
      hint: 'set TROLLFIX_DATABASE_URL, or databaseUrl of the target',
    });
  }
  const database = openDatabase(target.databaseUrl.reveal(), { max: 1, applicationName: 'trollfix cleanup' });
  try {
    const removed = await purgeRun(database, runId);
    const rows = Object.entries(removed).filter(([, count]) => count > 0);
    return {
      data: { runId, removed },
      text: () =>
        rows.length === 0
          ? `nothing of run ${runId} is left\n`
          : `removed of run ${runId}: ${rows.map(([table, count]) => `${count} ${table}`).join(', ')}\n`,
    };
  } catch (error) {
    throw databaseError(error);
  } finally {
    await database.end();
  }
};
