import { constantArrivals } from '../../engine/constant-arrivals.ts';
import { type GeneratorHealth, GeneratorMonitor } from '../../engine/generator-health.ts';
import { type LoadResult, statusOf } from '../../engine/load-result.ts';
import { runOpenLoop } from '../../engine/open-loop.ts';
import type { Metric, MetricCatalogue, Threshold } from '../../engine/thresholds.ts';
import { sleep } from '../../kernel/clock.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { HlsFetcher } from '../../target/hls/fetcher.ts';
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
import { hlsRules } from './playlist-rules.ts';
import { Viewers } from './viewers.ts';

export const hlsMetrics = {
  /** Due instant of joining → first segment complete. */
  hls_startup: 'trend',
  /** Share of the viewers that came who got as far as a first segment. */
  hls_joined: 'rate',
  hls_playlist: 'trend',
  hls_segment: 'trend',
  hls_playlist_age: 'trend',
  hls_viewers: 'gauge',
  /** Tag `rule`, e.g. `hls_violations{rule:HLS-002}`. */
  hls_violations: 'counter',
  hls_failed_loads: 'counter',
  /** Share of due reloads that were issued. */
  hls_reloads_issued: 'rate',
  hls_rebuffer_ratio: 'gauge',
} as const satisfies MetricCatalogue;

/** A live stream that breaks one of these breaks players. HLS-011 is a warning: it costs, but it plays. */
const hlsInvariants = [
  ...Object.keys(hlsRules)
    .filter((rule) => rule !== 'HLS-011')
    .map((rule) => `hls_violations{rule:${rule}}: count==0`),
  // the startup time is of those who got in: it says nothing of the others
  'hls_joined: rate==1',
  'hls_failed_loads: count==0',
  'hls_reloads_issued: rate==1',
];

/** What an audience puts up with (hls.md III.3): judged like an invariant, so that a stream nobody can watch is no pass. */
const hlsObjectives = ['hls_startup: p(95)<2000'];

/** What players wait for an answer before they try again (hls.js: 10 s to the first byte). */
const fetchTimeoutMs = 10_000;
/** Experience is taken from these; of the others only playlists and first segments are fetched. */
const panelViewers = 100;
/** hls.md III.4: a reload issued later than this makes the generator the limit. */
const lateReloadMs = 50;
/** Without a ramp the audience still comes within a second, not within one event-loop turn. */
const leastRampMs = 1000;

const titles = { startup: 'HLS Startup', viewers: 'HLS Viewers' } as const;

/**
 * `plan.users` viewers join over `plan.rampMs`, then all watch for `plan.durationMs`, reloading playlists at the pace
 * of RFC 8216 over at most `plan.connections` connections per origin. `plan.ratePerS` is not used: how often is the
 * stream's business.
 */
export async function runHlsProbe(ctx: ProbeContext, plan: LoadPlan): Promise<ProbeResult> {
  const thresholds = readThresholds(hlsMetrics, [...hlsInvariants, ...hlsObjectives], plan.thresholds);
  const url = ctx.target.hls?.url;
  if (url === undefined) {
    const reason = 'the target has no HLS stream: set HLS_URL (`hls.url` in trollfix.yaml)';
    return {
      measurements: [
        notRun('hls.startup', titles.startup, 'ms', reason),
        notRun('hls.viewers', titles.viewers, 'viewers', reason),
      ],
    };
  }
  const fetcher = new HlsFetcher({
    connections: plan.connections,
    timeoutMs: fetchTimeoutMs,
    sessionId: ctx.runId,
  });
  const viewers = new Viewers({ masterUrl: url, viewers: plan.users, panel: panelViewers, fetcher });
  const monitor = new GeneratorMonitor().start();
  const startedMs = performance.now();
  try {
    viewers.start();
    const load = await joinAndWatch(ctx, plan, viewers);
    const experience = viewers.panel.finish(performance.now());
    viewers.stop();
    const watch = { viewers, load, experience, elapsedMs: performance.now() - startedMs, plan };
    const generator = monitor.stop({
      late: viewers.reloadLag.countAboveMs(lateReloadMs),
      started: viewers.reloadLag.count,
      lateAfterMs: lateReloadMs,
    });
    const run = { ...watch, generator, thresholds };
    return { measurements: [startupOf(run), viewersOf(run)] };
  } finally {
    viewers.stop();
    await fetcher.close();
  }
}

async function joinAndWatch(ctx: ProbeContext, plan: LoadPlan, viewers: Viewers): Promise<LoadResult> {
  const rampMs = Math.max(leastRampMs, plan.rampMs);
  const totalMs = rampMs + plan.durationMs;
  const endsMs = performance.now() + totalMs;
  const rows = setInterval(() => reportSecond(ctx, viewers), 1000);
  try {
    const load = await runOpenLoop({
      arrivals: constantArrivals((plan.users * 1000) / rampMs),
      durationMs: rampMs,
      operation: (token, viewer, _intendedMs, settle) => viewers.join(viewer, token, settle),
      timeoutMs: 3 * fetchTimeoutMs,
      signal: ctx.signal,
      onInterval: watchLoad(ctx, 'hls', 'hls.startup.ndjson', totalMs),
    });
    const restMs = endsMs - performance.now();
    // an interruption ends the watching; what was seen until then is reported
    if (restMs > 0) await sleep(restMs, ctx.signal).catch(() => {});
    return load;
  } finally {
    clearInterval(rows);
  }
}

function reportSecond(ctx: ProbeContext, viewers: Viewers): void {
  ctx.series('hls.viewers.ndjson', {
    t: Math.round(performance.now()) / 1000,
    joined: viewers.joined,
    held: viewers.held,
    pending: viewers.pending,
    ...viewers.counts,
    violations: viewers.violations.errors,
  });
}

interface HlsRun {
  readonly viewers: Viewers;
  readonly load: LoadResult;
  readonly experience: ReturnType<Viewers['panel']['finish']>;
  readonly elapsedMs: number;
  readonly generator: GeneratorHealth;
  readonly thresholds: readonly Threshold[];
  readonly plan: LoadPlan;
}

function metricsOf({ viewers, load, experience, elapsedMs }: HlsRun): Metric[] {
  const { playlistLoads, failedLoads, failedSegments, segmentLoads, reloadsDue, reloadsIssued } =
    viewers.counts;
  const rules = (Object.keys(hlsRules) as Array<keyof typeof hlsRules>).map((rule) => ({
    // safe: the keys of a constant object are its own names
    ...countMetric(
      'hls_violations',
      rule === 'HLS-001' ? viewers.counts.paceViolations : viewers.violations.countOf(rule),
      rule === 'HLS-001' ? reloadsDue : playlistLoads,
      elapsedMs,
    ),
    tags: { rule },
  }));
  const { rebufferRatio } = experience;
  return [
    ...rules,
    { name: 'hls_startup', value: { kind: 'trend', histogram: load.latency.intendedToAnswer } },
    {
      name: 'hls_joined',
      value: { kind: 'rate', hits: load.counts.ok, samples: load.counts.sent - load.counts.unfinished },
    },
    { name: 'hls_playlist', value: { kind: 'trend', histogram: viewers.playlistLatency } },
    { name: 'hls_segment', value: { kind: 'trend', histogram: viewers.segmentLatency } },
    { name: 'hls_playlist_age', value: { kind: 'trend', histogram: viewers.playlistAge } },
    { name: 'hls_viewers', value: { kind: 'gauge', value: viewers.held, samples: viewers.joined } },
    countMetric('hls_failed_loads', failedLoads + failedSegments, playlistLoads + segmentLoads, elapsedMs),
    { name: 'hls_reloads_issued', value: { kind: 'rate', hits: reloadsIssued, samples: reloadsDue } },
    {
      name: 'hls_rebuffer_ratio',
      value: { kind: 'gauge', value: rebufferRatio ?? 0, samples: rebufferRatio === null ? 0 : 1 },
    },
  ];
}

/** Which of the two measurements a metric is judged in. */
function isStartupMetric(name: string): boolean {
  return name === 'hls_startup' || name === 'hls_joined';
}

function startupOf(run: HlsRun): Measurement {
  const { load, viewers, thresholds } = run;
  const latency = load.latency.intendedToAnswer.summary();
  const status = statusOf({ samples: load.counts.ok, generator: load.generator }, 'measured');
  const reason = reasonOf(status, load.generator);
  return {
    id: 'hls.startup',
    title: titles.startup,
    status,
    value: load.counts.ok === 0 ? null : (latency?.p95 ?? null),
    unit: 'ms',
    bounds: null,
    samples: load.counts.ok,
    latencyMs: latency,
    theoretical: null,
    bottleneck: bottleneckOf(load, [], 'joins/s'),
    counts: { ...load.counts },
    thresholds: judgeThresholds(thresholds, metricsOf(run), isStartupMetric),
    generator: generatorOf(load.generator),
    series: 'hls.startup.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted:
        'p95 of the time from the instant a viewer was due to join until its first segment was complete: master playlist, media playlist, segment. Decoding is not included.',
      failures: load.reasons,
      segmentMs: viewers.segmentLatency.summary(),
      firstByteMs: viewers.firstByteLatency.summary(),
      generatorLagMs: load.latency.intendedToSend.summary(),
    },
  };
}

function viewersOf(run: HlsRun): Measurement {
  const { viewers, generator, thresholds, plan, experience, elapsedMs } = run;
  const { counts, violations } = viewers;
  const broken = violations.errors + counts.paceViolations;
  const status = statusOf({ samples: counts.playlistLoads - counts.failedLoads, generator }, 'estimate');
  const reason = broken > 0 ? brokenReason(violations.rules) : reasonOf(status, generator);
  const heldRate = { generator, offeredPerS: plan.users, achievedPerS: viewers.held };
  return {
    id: 'hls.viewers',
    title: titles.viewers,
    status,
    value: counts.playlistLoads === 0 ? null : broken > 0 ? 0 : viewers.held,
    unit: 'viewers',
    bounds: null,
    samples: counts.playlistLoads,
    latencyMs: viewers.playlistLatency.summary(),
    theoretical: null,
    bottleneck: bottleneckOf(heldRate, [], 'viewers'),
    counts: {
      viewers: plan.users,
      joined: viewers.joined,
      held: viewers.held,
      gaveUp: viewers.gaveUp,
      violations: broken,
      parses: viewers.parses,
      ...counts,
    },
    thresholds: judgeThresholds(thresholds, metricsOf(run), (name) => !isStartupMetric(name)),
    generator: generatorOf(generator),
    series: 'hls.viewers.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted:
        'viewers that joined, had every due playlist reload issued and no load failed, while the stream broke no HLS rule (0 when it did). latencyMs: from the instant a playlist load was due until it was complete.',
      rules: violations.report(),
      renditions: viewers.renditions,
      reloadsPerS: (counts.reloadsIssued * 1000) / elapsedMs,
      reloadLagMs: viewers.reloadLag.summary(),
      playlistAgeMs: viewers.playlistAge.summary(),
      segmentMs: viewers.segmentLatency.summary(),
      panel: { viewers: viewers.panel.size, ...experience },
      cache: Object.fromEntries(viewers.cache),
      connections: plan.connections,
      coverage: 'one source address: one edge of a CDN at most; geography is not covered',
    },
  };
}

function brokenReason(rules: readonly string[]): string {
  return `the stream broke ${rules.filter((rule) => rule !== 'HLS-011').join(', ') || 'HLS-001'}: see details.rules`;
}
