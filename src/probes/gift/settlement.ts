import type pg from 'pg';
import { sleep } from '../../kernel/clock.ts';
import { drainGifts, pendingGifts } from '../gift-backlog.ts';
import type { ProbeContext } from '../probe.ts';
import { lastLogSql, logsSinceSql, skippedSql } from './gift-ledger.sql.ts';

/** One run of the settlement procedure, as its own log has it. */
export interface SettlementLog {
  readonly source: string;
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly rounds: number;
  readonly backlog: number;
  readonly work_s: number | null;
}

export interface Settlement {
  readonly logs: readonly SettlementLog[];
  /** Times a drainer found another one at work and left. */
  readonly skipped: number;
  /** Largest backlog of this run that was seen. */
  readonly largestBacklog: number;
  readonly left: number;
  /** From the first call until the backlog was empty. */
  readonly elapsedMs: number;
}

/** 117,000 gifts/s were measured, 20,000/s are the worst case; a backlog still there after this is a finding. */
const giveUpMs = 60_000;
const pollMs = 100;

/** The number of the last settlement run so far. */
export async function lastSettlementLog(database: pg.Pool): Promise<string> {
  const { rows } = await database.query<{ id: string }>(lastLogSql);
  return rows[0]?.id ?? '0';
}

/**
 * Settles the backlog of the run: calls the same procedure that the schedule calls. Where the target's own settler or
 * cron is at it already, the lock lets one of them work and the logs say which.
 * @param sinceLog what {@link lastSettlementLog} gave before the first gift
 */
export async function settleBacklog(
  ctx: ProbeContext,
  database: pg.Pool,
  sinceLog: string,
): Promise<Settlement> {
  const startedMs = performance.now();
  const largestBacklog = await pendingGifts(database, ctx.runId);
  let left = largestBacklog;
  while (left > 0 && performance.now() - startedMs < giveUpMs && !ctx.signal.aborted) {
    await drainGifts(database);
    left = await pendingGifts(database, ctx.runId);
    if (left > 0) await sleep(pollMs, ctx.signal).catch(() => {});
  }
  const elapsedMs = performance.now() - startedMs;
  const logs = await database.query<SettlementLog>(logsSinceSql, [sinceLog]);
  const skipped = await database.query<{ skipped: number }>(skippedSql, [sinceLog]);
  return { logs: logs.rows, skipped: skipped.rows[0]?.skipped ?? 0, largestBacklog, left, elapsedMs };
}

/** Gifts decided per second of settlement work, over all runs that are logged; null when none worked. */
export function settlementRate(logs: readonly SettlementLog[]): number | null {
  let [gifts, seconds] = [0, 0];
  for (const log of logs) {
    if (log.work_s === null) continue;
    gifts += log.claimed;
    seconds += log.work_s;
  }
  return seconds > 0 ? gifts / seconds : null;
}
