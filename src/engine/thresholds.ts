import { TrollfixError } from '../kernel/errors.ts';
import { nearest } from '../kernel/nearest.ts';
import type { ThresholdResult } from '../record/measurement.ts';
import type { LatencyHistogram } from './latency-histogram.ts';

/** k6's four kinds of metric; which methods a threshold may use follows from it. */
type MetricKind = 'trend' | 'counter' | 'rate' | 'gauge';

/** The metrics a probe offers to thresholds: name → kind. */
export type MetricCatalogue = Readonly<Record<string, MetricKind>>;

/** What a metric amounts to at the end of a run. Samples 0 means that nothing was observed. */
type MetricValue =
  | { readonly kind: 'trend'; readonly histogram: LatencyHistogram }
  | { readonly kind: 'counter'; readonly count: number; readonly elapsedMs: number; readonly samples: number }
  | { readonly kind: 'rate'; readonly hits: number; readonly samples: number }
  | { readonly kind: 'gauge'; readonly value: number; readonly samples: number };

/** One observed metric, with the tags it was recorded under. */
export interface Metric {
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly value: MetricValue;
}

export const comparisons = ['>=', '<=', '===', '!=', '==', '>', '<'] as const;
type Comparison = (typeof comparisons)[number];
type Method = 'count' | 'rate' | 'value' | 'avg' | 'min' | 'max' | 'med' | 'p';

export interface Threshold {
  /** As it was written before the colon, tags included. */
  readonly metric: string;
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  /** As it was written after the colon. */
  readonly expr: string;
  readonly method: Method;
  /** Of `p(N)`; 0 otherwise. */
  readonly percent: number;
  readonly comparison: Comparison;
  /** Milliseconds for trends, a plain number otherwise. */
  readonly limit: number;
}

const methodsOf: Readonly<Record<MetricKind, readonly Method[]>> = {
  trend: ['avg', 'min', 'max', 'med', 'p'],
  counter: ['count', 'rate'],
  rate: ['rate'],
  gauge: ['value'],
};
const unitMs: Readonly<Record<string, number>> = { us: 0.001, µs: 0.001, ms: 1, s: 1000, m: 60_000 };

/**
 * Reads `metric: expression` in k6's grammar (`metrics/thresholds_parser.go`): a metric with optional tags
 * `{tag:value,…}`, a method, a comparison and a number. A number may carry a unit of time (`250ms`, `1s`); bare
 * numbers of trends are milliseconds, as in k6.
 * @throws TF-LOAD-003 naming the place, when it cannot be read or does not fit the catalogue
 */
export function parseThreshold(text: string, catalogue?: MetricCatalogue): Threshold {
  const head = /^\s*([A-Za-z_][\w.]*)\s*(\{[^}]*\})?\s*:/.exec(text);
  if (!head) {
    const place = /^\s*[A-Za-z_][\w.]*\s*(\{[^}]*\})?/.exec(text)?.[0].length ?? 0;
    throw unreadable(text, place, 'expected a metric name, optional {tag:value}, and a colon');
  }
  const [, name = '', tagText] = head;
  const tags = tagText === undefined ? {} : parseTags(text, tagText, text.indexOf('{'));
  const expression = parseExpression(text, head[0].length);
  const metric = tagText === undefined ? name : `${name}${tagText.replace(/\s+/g, '')}`;
  const threshold: Threshold = { metric, name, tags, ...expression };
  if (catalogue) checkAgainst(text, threshold, catalogue);
  return threshold;
}

function parseTags(text: string, tagText: string, at: number): Record<string, string> {
  const tags: Record<string, string> = {};
  let place = at + 1;
  for (const part of tagText.slice(1, -1).split(',')) {
    const pair = /^\s*([\w.-]+)\s*:\s*("?)([^"]*?)\2\s*$/.exec(part);
    const [, key, , value] = pair ?? [];
    if (key === undefined || value === undefined || value === '') {
      throw unreadable(text, place, 'a tag is written {name:value}');
    }
    tags[key] = value;
    place += part.length + 1;
  }
  return tags;
}

function parseExpression(
  text: string,
  from: number,
): Pick<Threshold, 'expr' | 'method' | 'percent' | 'comparison' | 'limit'> {
  let at = from;
  const take = (pattern: RegExp, expected: string): RegExpExecArray => {
    at += /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
    const found = pattern.exec(text.slice(at));
    if (!found) throw unreadable(text, at, expected);
    at += found[0].length;
    return found;
  };
  const method = take(
    /^(count|rate|value|avg|min|max|med|p\(\s*([^)]*?)\s*\))/,
    'expected count, rate, value, avg, min, max, med or p(N)',
  );
  const percent = method[2] === undefined ? 0 : Number(method[2]);
  if (method[2] !== undefined && !(method[2] !== '' && percent >= 0 && percent <= 100)) {
    throw unreadable(text, at - method[0].length + 2, 'N of p(N) is a number from 0 to 100');
  }
  const [comparison] = take(/^(>=|<=|===|!=|==|>|<)/, `expected one of ${comparisons.join(' ')}`);
  const [, digits, unit = ''] = take(
    /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-zµ%]*)/,
    'expected a number',
  );
  const factor = unit === '' ? 1 : unitMs[unit];
  if (factor === undefined) {
    throw unreadable(text, at - unit.length, `"${unit}" is no unit of time: us, ms, s, m`);
  }
  take(/^$/, 'nothing may follow the number');
  return {
    expr: text.slice(from).trim(),
    // safe: the pattern above lets only these through; p(N) is named by its letter
    method: (method[2] === undefined ? method[1] : 'p') as Method,
    percent,
    // safe: the pattern above lets only these through
    comparison: comparison as Comparison,
    limit: Number(digits) * factor,
  };
}

function checkAgainst(text: string, threshold: Threshold, catalogue: MetricCatalogue): void {
  const kind = Object.hasOwn(catalogue, threshold.name) ? catalogue[threshold.name] : undefined;
  if (kind === undefined) {
    const near = nearest(threshold.name, Object.keys(catalogue));
    throw unreadable(
      text,
      text.indexOf(threshold.name),
      `there is no metric "${threshold.name}"${near ? `; did you mean "${near}"?` : ''}`,
      `metrics here: ${Object.keys(catalogue).join(', ')}`,
    );
  }
  if (!methodsOf[kind].includes(threshold.method)) {
    const methods = methodsOf[kind].map((method) => (method === 'p' ? 'p(N)' : method));
    throw unreadable(
      text,
      text.indexOf(threshold.expr),
      `"${threshold.name}" is a ${kind}: it takes ${methods.join(', ')}`,
    );
  }
}

function unreadable(text: string, place: number, expected: string, hint?: string): TrollfixError {
  return new TrollfixError('TF-LOAD-003', `threshold "${text}", column ${place + 1}: ${expected}`, {
    why: `${text}\n${' '.repeat(place)}^`,
    ...(hint ? { hint } : {}),
    details: { threshold: text, column: place + 1 },
  });
}

/**
 * Judges thresholds over what a run observed. Metrics whose tags include those of the threshold are joined.
 * No metric, or one without a sample, fails with `no data`: nothing was shown to hold.
 */
export function evaluateThresholds(
  thresholds: readonly Threshold[],
  metrics: readonly Metric[],
): ThresholdResult[] {
  return thresholds.map((threshold) => {
    const values = metrics.filter((metric) => matches(threshold, metric)).map((metric) => metric.value);
    const { observed, samples } = observe(threshold, values);
    const base = { metric: threshold.metric, expr: threshold.expr, observed, samples };
    if (samples === 0 || observed === null) return { ...base, observed: null, ok: false, reason: 'no data' };
    return { ...base, ok: compare(observed, threshold.comparison, threshold.limit) };
  });
}

function matches(threshold: Threshold, metric: Metric): boolean {
  if (metric.name !== threshold.name) return false;
  return Object.entries(threshold.tags).every(([tag, value]) => metric.tags?.[tag] === value);
}

/** The value of one method over several metrics of the same name: histograms merged, counts added, gauges' largest. */
function observe(
  threshold: Threshold,
  values: readonly MetricValue[],
): { observed: number | null; samples: number } {
  const trends = values.filter((value) => value.kind === 'trend').map((value) => value.histogram);
  if (trends.length > 0) return observeTrend(threshold, trends);
  let [sum, samples, elapsedMs, largest] = [0, 0, 0, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value.kind === 'trend') continue;
    samples += value.samples;
    if (value.kind === 'counter')
      [sum, elapsedMs] = [sum + value.count, Math.max(elapsedMs, value.elapsedMs)];
    if (value.kind === 'rate') sum += value.hits;
    if (value.kind === 'gauge' && value.samples > 0) largest = Math.max(largest, value.value);
  }
  if (samples === 0) return { observed: null, samples };
  if (threshold.method === 'value') return { observed: largest, samples };
  if (threshold.method === 'count') return { observed: sum, samples };
  return { observed: elapsedMs > 0 ? (sum * 1000) / elapsedMs : sum / samples, samples };
}

function observeTrend(
  threshold: Threshold,
  histograms: readonly LatencyHistogram[],
): { observed: number | null; samples: number } {
  const [first, ...others] = histograms;
  if (first === undefined) return { observed: null, samples: 0 };
  const samples = histograms.reduce((sum, histogram) => sum + histogram.count, 0);
  const joined = others.length === 0 ? first : first.copy();
  for (const other of others) joined.add(other);
  if (samples === 0) return { observed: null, samples };
  const methods: Partial<Record<Method, () => number>> = {
    avg: () => joined.meanMs,
    min: () => joined.minMs,
    max: () => joined.maxMs,
    med: () => joined.percentileMs(50),
    p: () => joined.percentileMs(threshold.percent),
  };
  return { observed: methods[threshold.method]?.() ?? null, samples };
}

function compare(observed: number, comparison: Comparison, limit: number): boolean {
  switch (comparison) {
    case '>':
      return observed > limit;
    case '>=':
      return observed >= limit;
    case '<':
      return observed < limit;
    case '<=':
      return observed <= limit;
    case '!=':
      return observed !== limit;
    default:
      return observed === limit;
  }
}
