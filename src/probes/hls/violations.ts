import { type HlsRule, hlsRules, type Violation } from './playlist-rules.ts';

/** Examples kept per rule; the rest is counted. */
const keptExamples = 5;

/** Violations by rule: exact counts, a few examples. */
export class Violations {
  readonly #counts = new Map<HlsRule, number>();
  readonly #examples = new Map<HlsRule, Set<string>>();

  add(violation: Violation): void {
    const { rule, text } = violation;
    this.#counts.set(rule, (this.#counts.get(rule) ?? 0) + 1);
    const examples = this.#examples.get(rule) ?? new Set();
    this.#examples.set(rule, examples);
    if (examples.size < keptExamples) examples.add(text);
  }

  countOf(rule: HlsRule): number {
    return this.#counts.get(rule) ?? 0;
  }

  /** HLS-011 is about cost and reach, not about the stream: it is a warning. */
  get errors(): number {
    let sum = 0;
    for (const [rule, count] of this.#counts) if (rule !== 'HLS-011') sum += count;
    return sum;
  }

  get rules(): HlsRule[] {
    return [...this.#counts.keys()].sort();
  }

  report(): Array<{ rule: HlsRule; means: string; count: number; examples: string[] }> {
    return this.rules.map((rule) => ({
      rule,
      means: hlsRules[rule],
      count: this.countOf(rule),
      examples: [...(this.#examples.get(rule) ?? [])],
    }));
  }
}
