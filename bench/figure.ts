/** One line of `trollfix.bench/v1`: a figure against a floor or a named peer, never a figure alone. */
export interface Figure {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** What it is compared with. */
  readonly against: string;
  /** As a person reads it: `< 2`. */
  readonly goal: string;
  readonly ok: boolean;
}

export interface BenchOptions {
  /** Also what takes minutes; a benchmark that has nothing of the kind ignores it. */
  readonly full: boolean;
  /** One part of it by name; all of them when it is not given. */
  readonly only?: string;
  /** Says what is being measured now; goes to stderr. */
  readonly note: (text: string) => void;
}

export type Benchmark = (options: BenchOptions) => Promise<Figure[]>;

/** A figure that must reach `limit`. */
export function atLeast(limit: number, figure: Omit<Figure, 'goal' | 'ok'>): Figure {
  return { ...figure, goal: `≥ ${limit}`, ok: figure.value >= limit };
}

/** A figure that must not exceed `limit`. */
export function atMost(limit: number, figure: Omit<Figure, 'goal' | 'ok'>): Figure {
  return { ...figure, goal: `≤ ${limit}`, ok: figure.value <= limit };
}

/** The middle value of an odd number of them, the upper of the two of an even one; NaN of none. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which a share `q` of them lie. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
