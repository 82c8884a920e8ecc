import { z } from 'zod';

/** Latencies in milliseconds, counted from the intended start of each operation. */
export const latencySchema = z.object({
  p50: z.number(),
  p90: z.number(),
  p95: z.number(),
  p99: z.number(),
  p999: z.number(),
  max: z.number(),
});

export const thresholdResultSchema = z.object({
  metric: z.string(),
  expr: z.string(),
  observed: z.number().nullable(),
  samples: z.number(),
  ok: z.boolean(),
  /** Why it could not be judged: `no data` when there was no sample. */
  reason: z.string().optional(),
});

export const generatorSchema = z.object({
  workers: z.number(),
  cpuSeconds: z.number(),
  eventLoopDelayMsP99: z.number(),
  /** Share of operations that started more than 5 ms after they were due. */
  lateRatio: z.number(),
  healthy: z.boolean(),
  /** Which limits were passed when it was not healthy, with numbers. */
  reasons: z.array(z.string()).optional(),
});

export const bottleneckKinds = [
  'rate_limit',
  'client',
  'database',
  'server_cpu',
  'network',
  'latency_bound',
  'schedule',
  'unknown',
] as const;

export const bottleneckSchema = z.object({
  kind: z.enum(bottleneckKinds),
  evidence: z.array(z.string()),
  /** True only after a perturbation moved the limit. */
  confirmed: z.boolean(),
});

export const measurementStatuses = [
  'measured',
  'estimate',
  'client_limited',
  'inconclusive',
  'no_data',
  'not_run',
] as const;

export const measurementSchema = z.object({
  id: z.string(),
  title: z.string(),
  status: z.enum(measurementStatuses),
  value: z.number().nullable(),
  unit: z.string(),
  bounds: z.object({ good: z.number(), bad: z.number() }).nullable(),
  samples: z.number(),
  latencyMs: latencySchema.nullable(),
  theoretical: z.object({ value: z.number(), unit: z.string(), source: z.string() }).nullable(),
  bottleneck: bottleneckSchema,
  counts: z.record(z.string(), z.number()),
  thresholds: z.array(thresholdResultSchema),
  generator: generatorSchema.nullable(),
  /** File name of the per-second series in the run's folder. */
  series: z.string().nullable(),
  /** Why it is not `measured`, and for `not_run` the command that would make it possible. */
  reason: z.string().optional(),
  details: z.record(z.string(), z.unknown()),
});

export type Latency = z.infer<typeof latencySchema>;
export type ThresholdResult = z.infer<typeof thresholdResultSchema>;
export type Generator = z.infer<typeof generatorSchema>;
export type Bottleneck = z.infer<typeof bottleneckSchema>;
export type Measurement = z.infer<typeof measurementSchema>;

/** A measurement that was not made, with the reason and the command that would make it possible. It never counts as passed. */
export function notRun(id: string, title: string, unit: string, reason: string): Measurement {
  return {
    id,
    title,
    status: 'not_run',
    value: null,
    unit,
    bounds: null,
    samples: 0,
    latencyMs: null,
    theoretical: null,
    bottleneck: { kind: 'unknown', evidence: [], confirmed: false },
    counts: {},
    thresholds: [],
    generator: null,
    series: null,
    reason,
    details: {},
  };
}
