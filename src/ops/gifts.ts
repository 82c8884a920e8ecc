import type pg from 'pg';
import { z } from 'zod';
import { formatDuration } from '../kernel/duration.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { databaseError, withConnection } from '../target/postgres/pool.ts';
import { drainSql, healthSql, recentRunsSql, settlingNowSql } from './gifts.sql.ts';

export type HealthVerdict = 'ok' | 'late' | 'failing' | 'diverging' | 'stalled';

/** View `gift_health`: how settlement is doing, from its own logs. Rates are gifts per second. */
export interface GiftHealth {
  readonly verdict: HealthVerdict;
  readonly backlog: number;
  readonly oldestPendingS: number | null;
  readonly lastStartedAt: string | null;
  readonly lastFinishedAt: string | null;
  readonly sinceLastFinishS: number | null;
  readonly lastStopReason: string | null;
  readonly lastError: string | null;
  /** Runs of the last 10 minutes that began and died. */
  readonly runsWithoutEnd: number;
  readonly ingestPerS: number | null;
  /** Gifts per second of work, of the last large runs. */
  readonly capacityPerS: number | null;
  /** What the schedule makes of it: less than the capacity when its runs stop at their budget. */
  readonly sustainedPerS: number | null;
  /** Runs since the last one that finished which found the lock taken. */
  readonly skippedSinceFinish: number;
  /** null when it would never end, or when nothing is known of the capacity. */
  readonly secondsToDrain: number | null;
}

/** A row of `gift_batch_logs`. */
export interface SettlementRun {
  readonly id: number;
  readonly source: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly rounds: number;
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly coinsMoved: number;
  readonly backlog: number | null;
  readonly oldestPendingS: number | null;
  readonly ingestPerS: number | null;
  readonly drainPerS: number | null;
  readonly stopReason: string | null;
  readonly error: string | null;
}

export interface GiftBacklog {
  readonly health: GiftHealth;
  /** Newest first. */
  readonly runs: readonly SettlementRun[];
  /** Who settles at this moment; null when nobody does. */
  readonly settling: SettlingNow | null;
}

/** A session that holds the settlement lock, or is between two rounds. */
export interface SettlingNow {
  readonly pid: number;
  /** As it calls itself; '' when it does not, or when this role may not see it. */
  readonly application: string;
  /** `gift_batch_logs.trigger_source`: cron, settler, manual …; null when it is no settlement run. */
  readonly source: string | null;
  readonly since: string | null;
  readonly forS: number | null;
}

/** Backlog, verdict and the last `runs` settlement runs (20 by default). @throws TF-DB-001, TF-DB-002, TF-DB-003 */
export async function giftBacklog(pool: pg.Pool, options: { runs?: number } = {}): Promise<GiftBacklog> {
  try {
    const health = await pool.query<HealthRow>(healthSql);
    const runs = await pool.query<RunRow>(recentRunsSql, [options.runs ?? 20]);
    const row = health.rows[0];
    if (row === undefined) throw new Error('gift_health gave no row'); // it is an aggregate: it always does
    return { health: healthOf(row), runs: runs.rows.map(runOf), settling: await settlingNow(pool) };
  } catch (error) {
    throw databaseError(error);
  }
}

/** The session that settles now, or null. */
export async function settlingNow(database: Queryable): Promise<SettlingNow | null> {
  const { rows } = await database.query<SettlingRow>(settlingNowSql);
  const row = rows[0];
  if (row === undefined) return null;
  const { pid, application, source, since, for_s: forS } = row;
  return { pid, application, source, since: since?.toISOString() ?? null, forS };
}

/** `pid 4711, trollfix settler, for 4.2 s`. */
export function settlingInWords({ pid, application, source, forS }: SettlingNow): string {
  const name = application || source || 'of no name';
  return `pid ${pid}, ${name}${forS === null ? '' : `, for ${formatDuration(Math.round(forS * 1000))}`}`;
}

type Queryable = Pick<pg.ClientBase, 'query'>;

interface SettlingRow {
  pid: number;
  application: string;
  source: string | null;
  since: Date | null;
  for_s: number | null;
}

/** What a drain has done so far. */
export interface DrainProgress {
  readonly rounds: number;
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly coinsMoved: number;
  readonly backlog: number;
  readonly elapsedMs: number;
  /** Gifts claimed per second since the drain began. */
  readonly perS: number;
}

export interface DrainResult extends DrainProgress {
  /** `taken over`: another drainer took the lock between two rounds. */
  readonly stoppedBy: 'empty' | 'time' | 'interrupted' | 'taken over';
}

export interface DrainOptions {
  /** How long at most; until the queue is empty when it is not given. */
  readonly budgetMs?: number;
  readonly source?: string;
  readonly signal?: AbortSignal;
  /** After every slice of about a second. */
  readonly onRound?: (progress: DrainProgress) => void;
}

/** A call's share: a drain answers Ctrl-C and shows progress about once a second. */
const sliceMs = 1000;
/**
 * Settles what is pending, now, in the rounds of `drain_gift_ledger`. Stops between slices when the signal aborts;
 * every round that was done is committed.
 *
 * @throws TF-GIFT-001 when another session is settling; TF-GIFT-003 when a round failed; TF-DB-001, TF-DB-002, TF-DB-003
 */
export async function drainGifts(pool: pg.Pool, options: DrainOptions = {}): Promise<DrainResult> {
  return withConnection(pool, (client) => drainOn(client, options));
}

async function drainOn(client: pg.PoolClient, options: DrainOptions): Promise<DrainResult> {
  const beganAt = performance.now();
  let total: DrainProgress = {
    ...{ rounds: 0, claimed: 0, settled: 0, failed: 0, coinsMoved: 0, backlog: 0 },
    ...{ elapsedMs: 0, perS: 0 },
  };
  // between two rounds of its run another drainer holds no lock, and the two of them would take turns at it
  const other = await settlingNow(client);
  if (other !== null) throw heldBy(other);
  while (true) {
    const leftMs = (options.budgetMs ?? Number.POSITIVE_INFINITY) - (performance.now() - beganAt);
    if (options.signal?.aborted) return { ...total, stoppedBy: 'interrupted' };
    if (leftMs <= 0) return { ...total, stoppedBy: 'time' };
    const budgetMs = Math.ceil(Math.min(sliceMs, leftMs));
    const slice = await callDrain(client, budgetMs, options.source ?? 'manual');
    if (slice.stop_reason === 'error') throw roundFailed(slice.error ?? 'unknown');
    if (slice.stop_reason === 'skipped_locked' && total.rounds + slice.rounds === 0)
      throw heldBy(await settlingNow(client));
    total = addSlice(total, slice, performance.now() - beganAt);
    options.onRound?.(total);
    if (slice.stop_reason === 'empty') return { ...total, stoppedBy: 'empty' };
    if (slice.stop_reason === 'skipped_locked') return { ...total, stoppedBy: 'taken over' };
  }
}

/** One CALL of the drain and the log row of it. Works through a transaction pooler too. */
export async function callDrain(database: Queryable, budgetMs: number, source: string): Promise<DrainRun> {
  const { rows } = await database.query<{ p_run: unknown }>(drainSql, [budgetMs, source]);
  return runSchema.parse(rows[0]?.p_run);
}

/** A row of `gift_batch_logs` as the procedure tells it. */
const runSchema = z.object({
  rounds: z.number(),
  claimed: z.number(),
  settled: z.number(),
  failed: z.number(),
  coins_moved: z.number(),
  backlog_count: z.number().nullable(),
  stop_reason: z.string().nullable(),
  error: z.string().nullable(),
});

export type DrainRun = z.infer<typeof runSchema>;

function addSlice(total: DrainProgress, slice: DrainRun, elapsedMs: number): DrainProgress {
  const claimed = total.claimed + slice.claimed;
  return {
    rounds: total.rounds + slice.rounds,
    claimed,
    settled: total.settled + slice.settled,
    failed: total.failed + slice.failed,
    coinsMoved: total.coinsMoved + slice.coins_moved,
    backlog: slice.backlog_count ?? 0,
    elapsedMs,
    perS: elapsedMs > 0 ? (claimed * 1000) / elapsedMs : 0,
  };
}

function roundFailed(message: string): TrollfixError {
  return new TrollfixError('TF-GIFT-003', `a settlement round failed: ${message}`, {
    why: 'the round was rolled back whole: its gifts are still pending and no money moved',
  });
}

function heldBy(now: SettlingNow | null): TrollfixError {
  const who = now === null ? 'it has just ended' : settlingInWords(now);
  return new TrollfixError('TF-GIFT-001', `another drainer is settling (${who})`, {
    why: "one session settles at a time, or a sender's gifts could be decided out of order; nothing was done",
    details: { ...(now ?? { pid: null, application: null, source: null, since: null, forS: null }) },
  });
}

interface HealthRow {
  verdict: HealthVerdict;
  backlog: string;
  oldest_pending_s: number | null;
  last_started_at: Date | null;
  last_finished_at: Date | null;
  since_last_finish_s: number | null;
  last_stop_reason: string | null;
  last_error: string | null;
  runs_without_end: string;
  ingest_per_s: number | null;
  capacity_per_s: number | null;
  sustained_per_s: number | null;
  skipped_since_finish: string;
  seconds_to_drain: number | null;
}

function healthOf(row: HealthRow): GiftHealth {
  return {
    verdict: row.verdict,
    backlog: Number(row.backlog),
    oldestPendingS: row.oldest_pending_s,
    lastStartedAt: row.last_started_at?.toISOString() ?? null,
    lastFinishedAt: row.last_finished_at?.toISOString() ?? null,
    sinceLastFinishS: row.since_last_finish_s,
    lastStopReason: row.last_stop_reason,
    lastError: row.last_error,
    runsWithoutEnd: Number(row.runs_without_end),
    ingestPerS: row.ingest_per_s,
    capacityPerS: row.capacity_per_s,
    sustainedPerS: row.sustained_per_s,
    skippedSinceFinish: Number(row.skipped_since_finish),
    secondsToDrain: row.seconds_to_drain,
  };
}

interface RunRow {
  id: string;
  rounds: number;
  claimed: string;
  settled: string;
  failed: string;
  coins_moved: string;
  backlog_count: string | null;
  stop_reason: string | null;
  error: string | null;
  trigger_source: string;
  started_at: Date;
  finished_at: Date | null;
  oldest_pending_s: number | null;
  ingest_per_s: number | null;
  drain_per_s: number | null;
}

function runOf(row: RunRow): SettlementRun {
  return {
    id: Number(row.id),
    source: row.trigger_source,
    startedAt: row.started_at.toISOString(),
    finishedAt: row.finished_at?.toISOString() ?? null,
    rounds: row.rounds,
    claimed: Number(row.claimed),
    settled: Number(row.settled),
    failed: Number(row.failed),
    coinsMoved: Number(row.coins_moved),
    backlog: row.backlog_count === null ? null : Number(row.backlog_count),
    oldestPendingS: row.oldest_pending_s,
    ingestPerS: row.ingest_per_s,
    drainPerS: row.drain_per_s,
    stopReason: row.stop_reason,
    error: row.error,
  };
}
