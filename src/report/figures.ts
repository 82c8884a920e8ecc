import type { Latency, Measurement } from '../record/measurement.ts';

/** A number as a person reads it: three digits that matter, thousands apart. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

export function formatLatency({ p50, p95, p99 }: Latency): string {
  return `p50 ${formatNumber(p50)}, p95 ${formatNumber(p95)}, p99 ${formatNumber(p99)} ms`;
}

/** The cell "Measured Value": the figure with its bounds and how much stands behind it; never a bare number. */
export function measuredValue(measurement: Measurement, strong: (text: string) => string): string {
  const { status, value, unit, bounds, latencyMs, samples, reason } = measurement;
  if (status === 'not_run') return `not run${reason ? `: ${reason}` : ''}`;
  if (status === 'no_data') return `no data${reason ? `: ${reason}` : ''}`;
  const figure = value === null ? undefined : strong(figureOf(value, unit, measurement));
  const spread = latencyMs ? formatLatency(latencyMs) : undefined;
  const notes = [
    ...(bounds ? [`held at ${formatNumber(bounds.good)}, not at ${formatNumber(bounds.bad)}`] : []),
    ...(status === 'measured' ? [] : [statusWords[status]]).map((word) =>
      reason ? `${word}: ${reason}` : word,
    ),
    `${formatNumber(samples)} samples`,
  ];
  const parts = [figure ?? 'no figure', ...(spread ? [spread] : [])];
  return `${parts.join('; ')} (${notes.join('; ')})`;
}

/** Some of so many, where the unit says what happened to them; everything else is a rate or a time. */
const outOf: ReadonlySet<string> = new Set(['doors open', 'cases held']);

/** A latency says which percentile it is, and a count out of how many. */
function figureOf(value: number, unit: string, { latencyMs, samples }: Measurement): string {
  if (outOf.has(unit)) return `${formatNumber(value)} of ${formatNumber(samples)} ${unit}`;
  const percentile = unit === 'ms' && latencyMs && percentiles.find((name) => latencyMs[name] === value);
  return `${formatNumber(value)} ${unit}`.trim() + (percentile ? ` (${percentile})` : '');
}

const percentiles = ['p50', 'p90', 'p95', 'p99', 'p999', 'max'] as const;

const statusWords = {
  estimate: 'estimate',
  client_limited: 'the load generator was the limit',
  inconclusive: 'inconclusive',
} as const;

export function theoreticalLimit({ theoretical }: Measurement): string {
  if (!theoretical) return 'N/A';
  return `${formatNumber(theoretical.value)} ${theoretical.unit} (${theoretical.source})`;
}

const bottleneckWords: Record<Measurement['bottleneck']['kind'], string> = {
  rate_limit: 'Rate limit',
  client: 'Load generator',
  database: 'Database',
  server_cpu: 'Server CPU',
  network: 'Network',
  latency_bound: 'Latency of each operation',
  schedule: 'Schedule',
  unknown: 'Unknown',
};

export function bottleneckText({ bottleneck, status }: Measurement): string {
  if (status === 'not_run' || status === 'no_data') return 'N/A';
  const { kind, evidence, confirmed } = bottleneck;
  const certainty =
    kind === 'unknown' ? '' : confirmed ? ' (confirmed)' : ' (not confirmed by a perturbation)';
  return `${bottleneckWords[kind]}${certainty}${evidence.length > 0 ? `: ${evidence.join('; ')}` : ''}`;
}
