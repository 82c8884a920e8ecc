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

export type Benchmark = () => Promise<Figure[]>;
