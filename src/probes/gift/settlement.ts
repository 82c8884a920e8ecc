import type pg from 'pg';
import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { sleep } from '../../kernel/clock.ts';
import { drainGifts, drainSource, pendingGifts } from '../gift-backlog.ts';
import type { ProbeContext } from '../probe.ts';
import { lastLogSql, logsSinceSql, skippedSql, waitsSql } from './gift-ledger.sql.ts';

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
  /** From the end of the load until the backlog was empty. */
  readonly elapsedMs: number;
  /** What the target's own schedule did of it, watched from outside. */
  readonly schedule: ScheduleSeen;
}

export interface ScheduleSeen {
  /** Gifts of the run that were decided, by whomever. */
  readonly decided: number;
  /** Of those, by a run that this probe did not call. */
  readonly bySchedule: number;
  /** Of those: from intake to the decision, by the database's clock. */
  readonly waits: LatencyHistogram;
  /** The schedule took nothing out of the queue for so long, or so little, that the probe settled the rest itself. */
  readonly wasDead: boolean;
}

/**
 * Three missed runs and 5 s, where gift_health says `stalled`: a schedule that takes nothing out of a full queue for this
 * long is none.
 */
export const deadScheduleMs = 35_000;
/** 117,000 gifts/s were measured, 20,000/s are the worst case; a backlog still there after this is a finding. */
const giveUpMs = 60_000;
const pollMs = 100;
/**
 * One that takes out a little now and then is watched no longer than it would take at a hundredth of the rate that was
 * measured, and three times the patience for its turns; then it counts as dead too.
 */
const watched = { patiences: 3, msPerGift: 1 };

/** The number of the last settlement run so far. */
export async function lastSettlementLog(database: pg.Pool): Promise<string> {
  const { rows } = await database.query<{ id: string }>(lastLogSql);
  return rows[0]?.id ?? '0';
}

/**
 * Watches how the target's schedule settles the backlog of the run, and keeps its own hands off: only so the figures tell
 * whether gifts are settled when no probe is there. Where the schedule is dead, the probe settles what is left, so that
 * the books can be judged all the same.
 * @param sinceLog what {@link lastSettlementLog} gave before the first gift
 * @param patienceMs the schedule is dead when the queue has not become shorter for so long, or is not empty after
 *   three times as long and a millisecond for each gift
 */
export async function settleBacklog(
  ctx: ProbeContext,
  database: pg.Pool,
  sinceLog: string,
  patienceMs: number,
): Promise<Settlement> {
  const startedMs = performance.now();
  const largestBacklog = await pendingGifts(database, ctx.runId);
  let left = await watchSchedule(ctx, database, largestBacklog, patienceMs);
  const wasDead = left > 0 && !ctx.signal.aborted;
  if (left > 0) left = await settleOneself(ctx, database, left);
  const elapsedMs = performance.now() - startedMs;
  const logs = await database.query<SettlementLog>(logsSinceSql, [sinceLog]);
  const skipped = await database.query<{ skipped: number }>(skippedSql, [sinceLog]);
  const schedule = { ...(await waitsOf(ctx, database)), wasDead };
  return {
    logs: logs.rows,
    skipped: skipped.rows[0]?.skipped ?? 0,
    largestBacklog,
    left,
    elapsedMs,
    schedule,
  };
}

/** Until the queue of the run is empty, has not become shorter for `patienceMs`, or was watched for long enough; gives what is left. */
async function watchSchedule(
  ctx: ProbeContext,
  database: pg.Pool,
  atFirst: number,
  patienceMs: number,
): Promise<number> {
  let left = atFirst;
  let movedMs = performance.now();
  const endsMs = movedMs + watched.patiences * patienceMs + watched.msPerGift * atFirst;
  if (left > 0) ctx.progress({ kind: 'step', text: `gift: ${left} gifts wait for the target's schedule` });
  while (left > 0 && performance.now() < Math.min(movedMs + patienceMs, endsMs) && !ctx.signal.aborted) {
    await sleep(pollMs, ctx.signal).catch(() => {});
    const now = await pendingGifts(database, ctx.runId);
    if (now < left) movedMs = performance.now();
    left = now;
  }
  return left;
}

async function settleOneself(ctx: ProbeContext, database: pg.Pool, atFirst: number): Promise<number> {
  const startedMs = performance.now();
  let left = atFirst;
  while (left > 0 && performance.now() - startedMs < giveUpMs && !ctx.signal.aborted) {
    await drainGifts(database);
    left = await pendingGifts(database, ctx.runId);
    if (left > 0) await sleep(pollMs, ctx.signal).catch(() => {});
  }
  return left;
}

async function waitsOf(ctx: ProbeContext, database: pg.Pool): Promise<Omit<ScheduleSeen, 'wasDead'>> {
  const { rows } = await database.query<{ wait_ms: number; by_schedule: boolean; gifts: number }>(waitsSql, [
    ctx.runId,
    drainSource,
  ]);
  const waits = new LatencyHistogram();
  let [decided, bySchedule] = [0, 0];
  for (const { wait_ms: waitMs, by_schedule: isSchedule, gifts } of rows) {
    decided += gifts;
    if (!isSchedule) continue;
    bySchedule += gifts;
    for (let i = 0; i < gifts; i++) waits.recordMs(waitMs);
  }
  return { decided, bySchedule, waits };
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
