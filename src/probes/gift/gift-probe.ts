import type pg from 'pg';
import { statusOf } from '../../engine/load-result.ts';
import type { Metric, Threshold } from '../../engine/thresholds.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { redact } from '../../kernel/redact.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { auditGifts, findingOf, rowInWords } from '../../target/postgres/gift-audit.ts';
import { openDatabase } from '../../target/postgres/pool.ts';
import { createFixture, type Fixture } from '../fixture.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { bottleneckOf, generatorOf, judgeThresholds, readThresholds, reasonOf } from '../verdict.ts';
import { lookUpAcknowledged, resendGifts } from './acknowledgements.ts';
import {
  bookMetrics,
  type GiftBooks,
  giftInvariants,
  giftMetrics,
  ingestionMetrics,
  intakeInvariants,
  isIngestionMetric,
  moneyDifference,
  unsettledOf,
  violationsOf,
} from './gift-metrics.ts';
import { type AcknowledgedGifts, type GiftPhase, GiftSchedule, richBalance } from './gift-schedule.ts';
import {
  type BatchIngestion,
  type Ingestion,
  ingestBatched,
  ingestOverHttp,
  ingestOverSql,
} from './ingestion.ts';
import {
  deadScheduleMs,
  lastSettlementLog,
  type Settlement,
  settleBacklog,
  settlementRate,
} from './settlement.ts';

export interface GiftProbeOptions {
  /** Gifts queued in one go before settling, so that settlement has something to show. */
  readonly backlogGifts?: number;
  /** How long gifts go over pooled SQL. */
  readonly sqlDurationMs?: number;
  /** How long the target's schedule may leave a queue alone before it counts as dead; 35 s by default. */
  readonly patienceMs?: number;
}

const defaultBacklogGifts = 20_000;
const longestSqlMs = 5000;
/** Ingestion over SQL is best at 8–16 connections (ledger.md §3). */
const sqlConnections = 16;
/** Sender and receiver differ, and a hot pair would measure row locks. */
const leastUsers = 10;

/** What the audit may take: its usual minute, and as much again for each 600,000 gifts of a longer run. */
const auditWithin = { leastMs: 60_000, msPerGift: 0.1 };

const titles = { ingestion: 'Gift Ingestion', settlement: 'Gift Settlement' } as const;

/**
 * `plan.users` users send gifts at `plan.ratePerS` over HTTP (the headline) and then over pooled SQL; a backlog is
 * queued on top; the target's own schedule is watched while it settles; then everything acknowledged is looked for and the
 * books are audited. One gift in twenty cannot be paid and must fail.
 */
export async function runGiftProbe(
  ctx: ProbeContext,
  plan: LoadPlan & GiftProbeOptions,
): Promise<ProbeResult> {
  const own = ctx.target.databaseUrl === undefined ? intakeInvariants : giftInvariants;
  const thresholds = readThresholds(giftMetrics, own, plan.thresholds);
  const users = Math.max(leastUsers, plan.users);
  const fixture = await createFixture(ctx, { users, streams: 1, balance: richBalance });
  // the run id too: an earlier run with the same seed may have left its gifts
  const random = ctx.random.fork(`gifts ${ctx.runId}`);
  const schedule = new GiftSchedule(fixture, random.uuid().slice(0, 8), random.uint32());
  try {
    return await runWith(ctx, plan, fixture, schedule, thresholds);
  } finally {
    await fixture.release();
  }
}

async function runWith(
  ctx: ProbeContext,
  plan: LoadPlan & GiftProbeOptions,
  fixture: Fixture,
  schedule: GiftSchedule,
  thresholds: readonly Threshold[],
): Promise<ProbeResult> {
  const url = ctx.target.databaseUrl;
  if (url === undefined) return withoutDatabase(ctx, plan, fixture, schedule, thresholds);
  const database = openDatabase(url.reveal(), {
    max: sqlConnections,
    applicationName: `trollfix gift probe ${ctx.runId}`,
  });
  try {
    const run = await runAll(ctx, plan, database, fixture, schedule);
    const metrics = metricsOf(run);
    // without books nobody can say what they show, right or wrong
    const judged = run.books ? thresholds : readThresholds(giftMetrics, intakeInvariants, plan.thresholds);
    return { measurements: [ingestionOf(run, metrics, judged), settlementOf(run, metrics, judged)] };
  } finally {
    await database.end();
  }
}

interface GiftRun {
  readonly http: Ingestion;
  readonly sql: Ingestion | undefined;
  readonly batch: BatchIngestion | undefined;
  readonly settlement: Settlement | undefined;
  readonly books: GiftBooks | undefined;
  /** Why there are none, of a run that was not interrupted. */
  readonly unread?: string;
}

async function runAll(
  ctx: ProbeContext,
  plan: LoadPlan & GiftProbeOptions,
  database: pg.Pool,
  fixture: Fixture,
  schedule: GiftSchedule,
): Promise<GiftRun> {
  const sinceLog = await lastSettlementLog(database);
  const http = await ingestOverHttp(ctx, plan, fixture, schedule);
  if (ctx.signal.aborted)
    return { http, sql: undefined, batch: undefined, settlement: undefined, books: undefined };
  const sqlDurationMs = plan.sqlDurationMs ?? Math.min(plan.durationMs, longestSqlMs);
  const sqlPlan = { ...plan, durationMs: sqlDurationMs, rampMs: 0 };
  const sql = await ingestOverSql(ctx, sqlPlan, database, fixture, schedule);
  const gifts = plan.backlogGifts ?? defaultBacklogGifts;
  const batch = await ingestBatched(ctx, gifts, database, fixture, schedule);
  const settlement = await settleBacklog(ctx, database, sinceLog, plan.patienceMs ?? deadScheduleMs);
  const acknowledged = { http: http.acknowledged, sql: sql.acknowledged, backlog: batch.acknowledged };
  const read = await readBooks(ctx, database, fixture, schedule, acknowledged);
  return { http, sql, batch, settlement, ...read };
}

/** Books that cannot be read take nothing from what was measured before: only why is kept. */
async function readBooks(
  ctx: ProbeContext,
  database: pg.Pool,
  fixture: Fixture,
  schedule: GiftSchedule,
  acknowledged: Readonly<Record<GiftPhase, AcknowledgedGifts>>,
): Promise<Pick<GiftRun, 'books' | 'unread'>> {
  try {
    const resent = await resendGifts(ctx, fixture, schedule, acknowledged.http);
    const lookedUp = await lookUpAcknowledged(database, schedule, acknowledged);
    const withinMs = auditWithin.leastMs + auditWithin.msPerGift * lookedUp.acknowledged;
    const audit = await auditGifts(database, { runId: ctx.runId, withinMs, signal: ctx.signal });
    return { books: { audit, lookedUp, resent } };
  } catch (error) {
    if (ctx.signal.aborted) return { books: undefined };
    const code = error instanceof TrollfixError ? `${error.code}: ` : '';
    const unread = redact(`the books could not be read: ${code}${messageOf(error)}`);
    ctx.log.warn(`gift: ${unread}`);
    return { books: undefined, unread };
  }
}

function metricsOf({ http, sql, settlement, books }: GiftRun): Metric[] {
  const metrics = ingestionMetrics('http', http.load);
  if (sql) metrics.push(...ingestionMetrics('sql', sql.load));
  if (settlement && books) metrics.push(...bookMetrics(books, settlement));
  return metrics;
}

function ingestionOf(
  run: GiftRun,
  metrics: readonly Metric[],
  thresholds: readonly Threshold[],
): Measurement {
  const { load } = run.http;
  const status = statusOf({ samples: load.counts.ok, generator: load.generator }, 'estimate');
  const reason = reasonOf(status, load.generator);
  return {
    id: 'gift.ingestion',
    title: titles.ingestion,
    status,
    value: load.counts.ok === 0 ? null : load.achievedPerS,
    unit: 'gifts/s',
    bounds: null,
    samples: load.counts.ok,
    latencyMs: load.latency.intendedToAnswer.summary(),
    theoretical: null,
    bottleneck: bottleneckOf(load, [], 'gifts/s'),
    counts: {
      ...load.counts,
      ...(run.books && intakeCounts(run.books)),
    },
    thresholds: judgeThresholds(thresholds, metrics, isIngestionMetric),
    generator: generatorOf(load.generator),
    series: 'gift.ingestion.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted:
        'gifts per second that send_gift acknowledged over HTTP, each from another user than the one before, after the ramp. latencyMs: from the intended start to the acknowledgement.',
      offeredPerS: load.offeredPerS,
      rejections: load.reasons,
      ...(run.unread === undefined ? {} : { unread: run.unread }),
      pooledSql: run.sql && sqlDetails(run.sql),
      batchedSql: run.batch && {
        counted: 'send_gifts, 500 gifts a call on 2 connections, closed loop',
        giftsPerS: (run.batch.gifts * 1000) / run.batch.elapsedMs,
        gifts: run.batch.gifts,
      },
      hdr: load.latency.intendedToAnswer.toHdrBase64(),
    },
  };
}

function intakeCounts({ audit, lookedUp, resent }: GiftBooks): Record<string, number> {
  const doubled = violationsOf(audit, 'gift_doubled');
  return {
    acknowledged: lookedUp.acknowledged,
    lostAcknowledged: lookedUp.lost,
    doubled,
    resent: resent.resent,
    resendsFailed: resent.failed,
    violations: lookedUp.lost + doubled + resent.accepted,
  };
}

function sqlDetails({ load }: Ingestion): Record<string, unknown> {
  return {
    counted: 'the same call over a pool of database connections, open loop at the same rate',
    giftsPerS: load.achievedPerS,
    offeredPerS: load.offeredPerS,
    latencyMs: load.latency.intendedToAnswer.summary(),
    counts: load.counts,
    rejections: load.reasons,
    generator: generatorOf(load.generator),
  };
}

function settlementOf(
  run: GiftRun,
  metrics: readonly Metric[],
  thresholds: readonly Threshold[],
): Measurement {
  const { settlement, books, unread } = run;
  if (unread !== undefined) {
    const unknown = notRun('gift.settlement', titles.settlement, 'gifts/s', unread);
    return { ...unknown, status: 'inconclusive' };
  }
  if (!settlement || !books) {
    return notRun('gift.settlement', titles.settlement, 'gifts/s', 'the run was interrupted before it');
  }
  const ratePerS = settlementRate(settlement.logs);
  const claimed = settlement.logs.reduce((sum, log) => sum + log.claimed, 0);
  const sources = [...new Set(settlement.logs.map((log) => log.source))];
  const status = ratePerS === null ? 'no_data' : 'estimate';
  return {
    id: 'gift.settlement',
    title: titles.settlement,
    status,
    value: ratePerS,
    unit: 'gifts/s',
    bounds: null,
    samples: claimed,
    latencyMs: settlement.schedule.waits.summary(),
    theoretical: null,
    bottleneck: {
      kind: 'schedule',
      evidence: [
        `${claimed} gifts were decided in ${settlement.logs.length} runs by ${sources.join(', ') || 'nobody'}; between runs the backlog waits for the schedule, and the times are those from intake to the decision`,
      ],
      confirmed: false,
    },
    counts: settlementCounts(books, settlement),
    thresholds: judgeThresholds(thresholds, metrics, (name) => !isIngestionMetric(name)),
    generator: null,
    series: null,
    reason: settlementReason(status, settlement),
    details: {
      counted:
        'gifts decided (settled or failed) per second of settlement work, from gift_batch_logs: sum of claimed over sum of working time of the runs since the first gift. latencyMs: from intake to the decision, of the gifts that the schedule of the target decided while the probe only watched.',
      elapsedMs: settlement.elapsedMs,
      runs: settlement.logs,
      offenders: books.audit.findings
        .filter(({ violations }) => violations > 0)
        .map(({ check, rows }) => ({ check, rows: rows.map(rowInWords) })),
    },
  };
}

function settlementCounts({ audit }: GiftBooks, settlement: Settlement): Record<string, number> {
  const { gifts, settled, failed, wallets } = audit.counts;
  const { schedule } = settlement;
  return {
    gifts,
    settled,
    failed,
    unsettled: unsettledOf(audit),
    settledTwice: violationsOf(audit, 'gift_settled_twice'),
    orphaned: violationsOf(audit, 'gift_orphaned_settlements'),
    wallets,
    negativeWallets: violationsOf(audit, 'gift_negative_wallets'),
    wrongBalances: violationsOf(audit, 'gift_wrong_balances'),
    wrongTotals: violationsOf(audit, 'gift_wrong_totals'),
    wrongBoards: violationsOf(audit, 'gift_wrong_boards'),
    misfits: violationsOf(audit, 'gift_misfits'),
    moneyDifference: moneyDifference(audit),
    largestBacklog: settlement.largestBacklog,
    backlogLeft: settlement.left,
    bySchedule: schedule.bySchedule,
    byProbe: schedule.decided - schedule.bySchedule,
    skippedLocked: settlement.skipped,
    // what must never happen to money; a gift that still waits is late, which is another finding
    violations: audit.violations - findingOf(audit, 'gift.once').violations,
  };
}

function settlementReason(status: Measurement['status'], { schedule, left }: Settlement): string {
  if (schedule.wasDead) {
    return left > 0
      ? 'nothing settles: neither the schedule of the target nor the probe got the queue empty'
      : 'the schedule of the target is dead, or far too slow: the probe had to settle the gifts itself';
  }
  return status === 'estimate'
    ? 'the backlog was finite: the rate while draining it, not one held for ever'
    : 'no settlement run logged any work';
}

/** Ingestion needs no database connection; nothing behind it can be looked at without one, and says so. */
async function withoutDatabase(
  ctx: ProbeContext,
  plan: LoadPlan,
  fixture: Fixture,
  schedule: GiftSchedule,
  thresholds: readonly Threshold[],
): Promise<ProbeResult> {
  const http = await ingestOverHttp(ctx, plan, fixture, schedule);
  const run = { http, sql: undefined, batch: undefined, settlement: undefined, books: undefined };
  const why =
    'the target has no databaseUrl: the ledger cannot be audited and settlement not be timed; set DATABASE_URL';
  return {
    measurements: [
      ingestionOf(run, metricsOf(run), thresholds),
      notRun('gift.settlement', titles.settlement, 'gifts/s', why),
    ],
  };
}
