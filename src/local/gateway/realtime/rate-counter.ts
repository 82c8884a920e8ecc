const tickMs = 5_000; // supabase/realtime's RateCounter: @tick
const bucketsMax = 12; // @max_bucket_len: the average is over at most 60 s

/**
 * Counts events and averages them the way supabase/realtime does: every 5 s the count of the interval becomes
 * a bucket, the rate is the mean over up to 12 buckets, and the limit trips when it is reached and recovers
 * when the mean falls below. The first tick comes at once and holds 0, which dilutes the first minute; that
 * is why short bursts far above a limit pass.
 */
export class RateCounter {
  readonly limitPerS: number;
  #pending = 0;
  readonly #buckets: number[] = [];
  #averagePerS = 0;
  #triggered = false;

  constructor(limitPerS: number) {
    this.limitPerS = limitPerS;
    this.tick();
  }

  /** How often `tick` has to be called. */
  static readonly tickMs = tickMs;

  add(count: number): void {
    this.#pending += count;
  }

  tick(): void {
    this.#buckets.push(this.#pending);
    this.#pending = 0;
    if (this.#buckets.length > bucketsMax) this.#buckets.shift();
    const sum = this.#buckets.reduce((a, b) => a + b, 0);
    this.#averagePerS = sum / this.#buckets.length / (tickMs / 1_000);
    this.#triggered = this.#averagePerS >= this.limitPerS;
  }

  /** Events per second over the window, as of the last tick. */
  get averagePerS(): number {
    return this.#averagePerS;
  }

  get triggered(): boolean {
    return this.#triggered;
  }
}
