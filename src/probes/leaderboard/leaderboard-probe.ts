import type pg from 'pg';
import { constantArrivals } from '../../engine/constant-arrivals.ts';
import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { type LoadResult, statusOf } from '../../engine/load-result.ts';
import { runOpenLoop } from '../../engine/open-loop.ts';
import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { openDatabase } from '../../target/postgres/pool.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import { createFixture } from '../fixture.ts';
import { watchLoad } from '../load-watch.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import {
  bottleneckOf,
  countMetric,
  generatorOf,
  judgeThresholds,
  readThresholds,
  reasonOf,
} from '../verdict.ts';
import { readSql, recomputeSql } from './leaderboard.sql.ts';
import { LedgerGrowth } from './ledger-growth.ts';

export interface LeaderboardProbeOptions {
  /** Gifts in the ledger at which reads are timed, growing. */
  readonly sizes?: readonly number[];
}

/** A hundredfold: a read that scans would take a hundred times as long, and noise does not. */
const defaultSizes = [1000, 10_000, 100_000] as const;
/** A ledger of many givers, as it is one; the list shows the first hundred. */
const leastUsers = 1000;
/** Rich enough that no gift fails: the ledger's size is then what was sent. */
const balance = 1_000_000_000;
/** Reads over SQL per size: the median of 200 is steady to a few percent. */
const sqlReads = 200;
const readTimeoutMs = 5000;

export const leaderboardMetrics = {
  /** Tags: `path` http|sql, `size` as a number. */
  leaderboard_read: 'trend',
  /** Slowest over fastest median of the sizes, over SQL. */
  leaderboard_growth: 'gauge',
  leaderboard_wrong: 'counter',
  leaderboard_errors: 'counter',
} as const satisfies MetricCatalogue;

/**
 * Constant cost: over the whole growth the median may move by a factor of 3, which a shared machine's noise stays
 * below (1.07 was measured on a quiet one) and a scan exceeds by far (157 times at 10^5, ledger.md §4).
 */
const leaderboardInvariants = [
  'leaderboard_wrong: count==0',
  'leaderboard_errors: count==0',
  'leaderboard_growth: value<3',
] as const;

const title = 'Leaderboard Read';

interface SizeResult {
  readonly size: number;
  readonly load: LoadResult;
  readonly sql: LatencyHistogram;
  /** Places of the list that differ from the one computed from the ledger. */
  readonly wrong: number;
  readonly places: number;
}

/**
 * Grows the run's own leaderboard and reads it at each size: over HTTP open-loop at `plan.ratePerS` for
 * `plan.durationMs`, and over SQL one after another. Needs a database URL: the ledger is grown in bulk.
 */
export async function runLeaderboardProbe(
  ctx: ProbeContext,
  plan: LoadPlan & LeaderboardProbeOptions,
): Promise<ProbeResult> {
  const thresholds = readThresholds(leaderboardMetrics, leaderboardInvariants, plan.thresholds);
  const url = ctx.target.databaseUrl;
  if (url === undefined) {
    const why = 'the target has no databaseUrl: the ledger cannot be grown in bulk; set DATABASE_URL';
    return { measurements: [notRun('leaderboard.read', title, 'ms', why)] };
  }
  const database = openDatabase(url.reveal(), { applicationName: `trollfix leaderboard probe ${ctx.runId}` });
  const rest = new SupabaseRest({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    connections: plan.connections,
    timeoutMs: readTimeoutMs,
  });
  try {
    const users = Math.max(leastUsers, plan.users);
    const fixture = await createFixture(ctx, { users, streams: 1, balance, signIn: false });
    const growth = new LedgerGrowth(ctx, database, fixture);
    const results: SizeResult[] = [];
    for (const size of plan.sizes ?? defaultSizes) {
      if (!(await growth.growTo(size))) break;
      results.push(await readAt(ctx, plan, size, rest, database));
    }
    return { measurements: [measurementOf(results, thresholds)] };
  } finally {
    await rest.close();
    await database.end();
  }
}

async function readAt(
  ctx: ProbeContext,
  plan: LoadPlan,
  size: number,
  rest: SupabaseRest,
  database: pg.Pool,
): Promise<SizeResult> {
  const scope = `run:${ctx.runId}`;
  const headers = rest.headersFor();
  const args = { p_scope: scope };
  const body = JSON.stringify(args);
  const load = await runOpenLoop({
    arrivals: constantArrivals(plan.ratePerS),
    durationMs: plan.durationMs,
    operation: (token, _index, _intendedMs, settle) =>
      rest.sendRpc('get_leaderboard', body, headers, (status, text) => {
        if (status === 200) settle(token, 'ok');
        else settle(token, status === 0 || status >= 500 ? 'error' : 'rejected', text.slice(0, 80));
      }),
    timeoutMs: readTimeoutMs,
    signal: ctx.signal,
    onInterval: watchLoad(ctx, `leaderboard ${size}`, 'leaderboard.read.ndjson', plan.durationMs),
  });
  const sql = await readOverSql(database, scope);
  return { size, load, sql, ...(await compare(ctx, database, rest, args)) };
}

async function readOverSql(database: pg.Pool, scope: string): Promise<LatencyHistogram> {
  const histogram = new LatencyHistogram();
  const client = await database.connect();
  try {
    for (let i = 0; i < sqlReads; i++) {
      const startedMs = performance.now();
      await client.query({ name: 'trollfix-read-leaderboard', text: readSql, values: [scope] });
      histogram.recordMs(performance.now() - startedMs);
    }
  } finally {
    client.release();
  }
  return histogram;
}

interface Place {
  readonly user_id: string;
  readonly total: number;
}

/** The list as people get it, over HTTP and as nobody in particular, against the one the ledger gives. */
async function compare(
  ctx: ProbeContext,
  database: pg.Pool,
  rest: SupabaseRest,
  scope: { readonly p_scope: string },
): Promise<{ wrong: number; places: number }> {
  const { status, text } = await rest.request('POST', '/rest/v1/rpc/get_leaderboard', scope);
  const computed = await database.query<{ top: Place[] }>(recomputeSql, [ctx.runId]);
  // what is not a list shows nothing, and each place that it should have shown is then wrong
  const board = status === 200 ? (JSON.parse(text) as { top?: Place[] } | null) : null;
  const [shown, truth] = [board?.top ?? [], computed.rows[0]?.top ?? []];
  const places = Math.max(shown.length, truth.length);
  let wrong = 0;
  for (let place = 0; place < places; place++) {
    const [a, b] = [shown[place], truth[place]];
    if (a?.user_id !== b?.user_id || a?.total !== b?.total) wrong++;
  }
  return { wrong, places };
}

function growthOf(results: readonly SizeResult[]): number | null {
  const medians = results.map((result) => result.sql.percentileMs(50)).filter((median) => median > 0);
  return medians.length < 2 ? null : Math.max(...medians) / Math.min(...medians);
}

function metricsOf(results: readonly SizeResult[]): Metric[] {
  const growth = growthOf(results);
  const perSize = results.flatMap(({ size, load, sql, wrong, places }): Metric[] => {
    const { counts, elapsedMs } = load;
    const failed = counts.errors + counts.timeouts + counts.rejected;
    const tags = { size: String(size) };
    return [
      {
        name: 'leaderboard_read',
        tags: { ...tags, path: 'http' },
        value: { kind: 'trend', histogram: load.latency.intendedToAnswer },
      },
      { name: 'leaderboard_read', tags: { ...tags, path: 'sql' }, value: { kind: 'trend', histogram: sql } },
      { ...countMetric('leaderboard_wrong', wrong, places, elapsedMs), tags },
      { ...countMetric('leaderboard_errors', failed, counts.sent, elapsedMs), tags },
    ];
  });
  const gauge = { kind: 'gauge', value: growth ?? 0, samples: growth === null ? 0 : results.length } as const;
  return [...perSize, { name: 'leaderboard_growth', value: gauge }];
}

function measurementOf(
  results: readonly SizeResult[],
  thresholds: ReturnType<typeof readThresholds>,
): Measurement {
  const last = results.at(-1);
  if (!last) return notRun('leaderboard.read', title, 'ms', 'the run was interrupted before it');
  // the worst generator of the sizes speaks for all
  const { load } = results.find((result) => !result.load.generator.healthy) ?? last;
  const latency = last.load.latency.intendedToAnswer;
  const status = statusOf({ samples: latency.count, generator: load.generator }, 'measured');
  const reason = reasonOf(status, load.generator);
  const sum = (of: (result: SizeResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    id: 'leaderboard.read',
    title,
    status,
    value: latency.count === 0 ? null : latency.percentileMs(50),
    unit: 'ms',
    bounds: null,
    samples: latency.count,
    latencyMs: latency.summary(),
    theoretical: null,
    bottleneck: bottleneckOf(load, [], 'reads/s'),
    counts: {
      sizes: results.length,
      gifts: last.size,
      offered: sum((result) => result.load.counts.offered),
      ok: sum((result) => result.load.counts.ok),
      errors: sum((result) => result.load.counts.errors + result.load.counts.timeouts),
      rejected: sum((result) => result.load.counts.rejected),
      wrongPlaces: sum((result) => result.wrong),
    },
    thresholds: judgeThresholds(thresholds, metricsOf(results), () => true),
    generator: generatorOf(load.generator),
    series: 'leaderboard.read.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted:
        'median time of get_leaderboard over HTTP at the largest ledger, from the intended start. Growth: slowest over fastest median of the sizes over SQL; 1 is constant.',
      growth: growthOf(results),
      sizes: results.map((result) => ({
        gifts: result.size,
        httpMs: result.load.latency.intendedToAnswer.summary(),
        sqlMs: result.sql.summary(),
        wrongPlaces: result.wrong,
        places: result.places,
      })),
    },
  };
}
