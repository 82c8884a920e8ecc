import { purgeRun } from '../../run/session.ts';
import type { CommandRun } from '../command.ts';
import { withDatabase } from '../target-database.ts';

/** Removes what a run wrote and could not remove itself, because it was killed. */
export const cleanupRun: CommandRun = async (context, input) => {
  const runId = String(input.arguments.run);
  const removed = await withDatabase(context, 'cleanup', (database) => purgeRun(database, runId));
  const rows = Object.entries(removed).filter(([, count]) => count > 0);
  return {
    data: { runId, removed },
    text: () =>
      rows.length === 0
        ? `nothing of run ${runId} is left\n`
        : `removed of run ${runId}: ${rows.map(([table, count]) => `${count} ${table}`).join(', ')}\n`,
  };
};
