import type pg from 'pg';
import { drainSql, pendingSql } from './gift-backlog.sql.ts';

/** What one call may take; the log of a run that stops at its budget is as good as any. */
const drainBudgetMs = 8000;
/** What `gift_batch_logs.trigger_source` has for a drain of ours: anything else is the target's own. */
export const drainSource = 'trollfix-probe';

/** Has waiting gifts settled, as the schedule does: by one call, which leaves at once when another is at it. */
export async function drainGifts(database: pg.Pool): Promise<void> {
  await database.query(drainSql, [drainBudgetMs, drainSource]);
}

/** Gifts of a run that wait to be settled. */
export async function pendingGifts(database: pg.Pool, runId: string): Promise<number> {
  const { rows } = await database.query<{ pending: number }>(pendingSql, [runId]);
  return rows[0]?.pending ?? 0;
}
