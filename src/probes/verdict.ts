import type { GeneratorHealth } from '../engine/generator-health.ts';
import type { LoadResult } from '../engine/load-result.ts';
import {
  evaluateThresholds,
  type Metric,
  type MetricCatalogue,
  parseThreshold,
  type Threshold,
} from '../engine/thresholds.ts';
import type { Bottleneck, Generator, ThresholdResult } from '../record/measurement.ts';

/**
 * A probe's own thresholds and those of its plan, read before anything starts.
 * @throws TF-LOAD-003
 */
export function readThresholds(
  catalogue: MetricCatalogue,
  own: readonly string[],
  asked: readonly string[] = [],
): Threshold[] {
  return [...own, ...asked].map((text) => parseThreshold(text, catalogue));
}

/** Judges the thresholds whose metric belongs to one measurement of the probe. */
export function judgeThresholds(
  thresholds: readonly Threshold[],
  metrics: readonly Metric[],
  belongs: (name: string) => boolean,
): ThresholdResult[] {
  return evaluateThresholds(
    thresholds.filter((threshold) => belongs(threshold.name)),
    metrics,
  );
}

/** A count of things that must not happen, over how many were looked at. */
export function countMetric(name: string, count: number, samples: number, elapsedMs: number): Metric {
  return { name, value: { kind: 'counter', count, samples, elapsedMs } };
}

/** What a measurement says of its generator. */
export function generatorOf(health: GeneratorHealth): Generator {
  const { workers, cpuSeconds, eventLoopDelayMsP99, lateRatio, healthy, reasons } = health;
  return { workers, cpuSeconds, eventLoopDelayMsP99, lateRatio, healthy, reasons };
}

/**
 * What limited a run at a fixed rate, as far as one can say without a search: the generator when it was unhealthy,
 * a rate limit when the target said so, else nothing is claimed.
 */
export function bottleneckOf(
  run: Pick<LoadResult, 'generator' | 'offeredPerS' | 'achievedPerS'>,
  rateLimitEvidence: readonly string[],
  unit: string,
): Bottleneck {
  if (!run.generator.healthy) {
    return { kind: 'client', evidence: [...(run.generator.reasons ?? [])], confirmed: false };
  }
  if (rateLimitEvidence.length > 0) {
    return { kind: 'rate_limit', evidence: [...rateLimitEvidence], confirmed: false };
  }
  const [offered, achieved] = [run.offeredPerS.toFixed(1), run.achievedPerS.toFixed(1)];
  const met = run.achievedPerS >= run.offeredPerS * 0.985;
  const evidence = met
    ? `fixed rate: ${achieved} of ${offered} ${unit} offered were met, so no limit was reached`
    : `fixed rate: only ${achieved} of ${offered} ${unit} offered were met; what held them back was not searched for`;
  return { kind: 'unknown', evidence: [evidence], confirmed: false };
}

/** Why a figure is less than measured, in words; undefined when nothing speaks against it. */
export function reasonOf(status: string, generator: GeneratorHealth | undefined): string | undefined {
  if (status === 'estimate') return 'made at a fixed rate: no rate was verified to be too much';
  if (status === 'client_limited') return `the generator was the limit: ${generator?.reasons.join('; ')}`;
  if (status === 'no_data') return 'nothing was answered';
  return undefined;
}
