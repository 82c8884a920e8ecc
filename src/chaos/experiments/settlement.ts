import type pg from 'pg';
import { pollUntil } from '../../kernel/deadline.ts';
import { pendingGifts } from '../../probes/gift-backlog.ts';
import type { ExperimentContext } from '../experiment.ts';
import { processBatchSql } from './settlement.sql.ts';

export interface BatchResult {
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly backlog: number;
  readonly busy: boolean;
}

/** Runs one batch on a connection and writes it into the history. */
export async function processBatch(
  context: ExperimentContext,
  connection: pg.Pool | pg.PoolClient,
  process: string,
  batchSize: number,
): Promise<BatchResult> {
  context.history({ process, op: 'settle', type: 'invoke', value: batchSize });
  const { rows } = await connection.query<BatchResult>(processBatchSql, [batchSize]);
  const result = rows[0];
  if (result === undefined) throw new Error('process_gift_ledger_batch gave no row');
  context.history({ process, op: 'settle', type: 'ok', value: result });
  return result;
}

/** Settles until nothing of the run waits. A minute is far more than any experiment's gifts take. */
export async function settleAll(context: ExperimentContext, database: pg.Pool): Promise<void> {
  await pollUntil(
    async () => {
      await processBatch(context, database, 'settle-all', 5000);
      return (await pendingGifts(database, context.runId)) === 0 ? true : undefined;
    },
    { ms: 60_000, everyMs: 20, what: 'settling the gifts of the experiment', signal: context.signal },
  );
}
