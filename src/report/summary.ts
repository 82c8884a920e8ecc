import type { RunRecord } from '../record/run-record.ts';

/** What a run comes down to, from its verdicts alone. */
export type Overall = 'stable' | 'partial' | 'failing' | 'interrupted';

export interface Tally {
  readonly all: number;
  readonly good: number;
  /** Titles of what did not hold. */
  readonly bad: readonly string[];
  /** Titles of what could not be told. */
  readonly open: readonly string[];
}

export interface Summary {
  readonly overall: Overall;
  readonly features: Tally;
  readonly figures: Tally;
  readonly matrix: Tally;
  readonly thresholds: Tally;
}

/** Counts the verdicts of a run. What was not run, or could not be told, never counts as good. */
export function summarize(record: RunRecord): Summary {
  const features = tally(record.status, (row) => row.feature, {
    good: (row) => row.status === 'verified',
    bad: (row) => row.status === 'failed',
  });
  const figures = tally(record.measurements, (m) => m.title, {
    good: (m) => m.status === 'measured' || m.status === 'estimate',
    bad: () => false,
  });
  const matrix = tally(record.matrix, (row) => row.scenario, {
    good: (row) => row.verdict === 'pass',
    bad: (row) => row.verdict === 'fail',
  });
  const thresholds = tally(
    record.measurements.flatMap((m) => m.thresholds),
    (threshold) => `${threshold.metric}: ${threshold.expr}`,
    { good: (threshold) => threshold.ok, bad: (threshold) => !threshold.ok },
  );
  const all = [features, figures, matrix, thresholds];
  return { overall: overallOf(record, all), features, figures, matrix, thresholds };
}

function overallOf(record: RunRecord, tallies: readonly Tally[]): Overall {
  if (record.interrupted) return 'interrupted';
  if (tallies.some(({ bad }) => bad.length > 0)) return 'failing';
  const judged = tallies.reduce((sum, { all }) => sum + all, 0);
  if (judged === 0 || tallies.some(({ open }) => open.length > 0)) return 'partial';
  // every verdict held and the command still ended otherwise: that is not stable
  return record.ok ? 'stable' : 'failing';
}

function tally<T>(
  items: readonly T[],
  title: (item: T) => string,
  judge: { good: (item: T) => boolean; bad: (item: T) => boolean },
): Tally {
  return {
    all: items.length,
    good: items.filter(judge.good).length,
    bad: items.filter(judge.bad).map(title),
    open: items.filter((item) => !judge.good(item) && !judge.bad(item)).map(title),
  };
}

export const overallLine: Record<Overall, string> = {
  stable: '✅ STABLE',
  partial: '⚠️ PARTIAL',
  failing: '❌ FAILING',
  interrupted: '⚠️ INTERRUPTED',
};

/** The executive summary, one sentence a line; no more than the counts say. */
export function summarySentences(record: RunRecord, summary: Summary): string[] {
  const { features, figures, matrix, thresholds } = summary;
  const sentences = [
    `\`trollfix ${record.command}\` against the ${record.target.kind} target "${record.target.name}" (${record.target.host}).`,
  ];
  if (summary.overall === 'interrupted') {
    sentences.push('The run was interrupted: what stands here is what there was until then.');
  }
  if (features.all > 0) {
    sentences.push(`${features.good} of ${features.all} features verified${except(features)}.`);
  }
  if (figures.all > 0)
    sentences.push(`${figures.good} of ${figures.all} figures obtained${except(figures)}.`);
  if (matrix.all > 0)
    sentences.push(`${matrix.good} of ${matrix.all} crash-matrix rows hold${except(matrix)}.`);
  if (thresholds.all > 0)
    sentences.push(`${thresholds.good} of ${thresholds.all} thresholds hold${except(thresholds)}.`);
  return sentences;
}

function except({ bad, open }: Tally): string {
  const parts = [
    ...(bad.length > 0 ? [`failed: ${bad.join(', ')}`] : []),
    ...(open.length > 0 ? [`open: ${open.join(', ')}`] : []),
  ];
  return parts.length > 0 ? ` (${parts.join('; ')})` : '';
}

export const statusLabel = {
  verified: '✅ VERIFIED',
  partial: '⚠️ PARTIAL',
  failed: '❌ FAILED',
  not_run: '⏸️ NOT RUN',
} as const;

export const verdictLabel = {
  pass: '✅ pass',
  fail: '❌ fail',
  unknown: '⚠️ unknown',
  invalid: '⚠️ invalid',
  not_run: '⏸️ not run',
} as const;
