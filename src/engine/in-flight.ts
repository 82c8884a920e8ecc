const none = -1;

/**
 * The operations that wait for an answer, in typed arrays of fixed size. A token names one operation: the slot it
 * sits in plus how often that slot was used before, so that the late answer to an operation that has timed out
 * cannot settle its successor in the same slot.
 */
export class InFlightTable {
  readonly capacity: number;
  readonly #generation: Uint32Array;
  readonly #free: Int32Array;
  readonly #intendedMs: Float64Array;
  readonly #sentMs: Float64Array;
  readonly #used: Uint8Array;
  #freeCount: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#generation = new Uint32Array(capacity);
    this.#free = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
    this.#intendedMs = new Float64Array(capacity);
    this.#sentMs = new Float64Array(capacity);
    this.#used = new Uint8Array(capacity);
    this.#freeCount = capacity;
  }

  get size(): number {
    return this.capacity - this.#freeCount;
  }

  get full(): boolean {
    return this.#freeCount === 0;
  }

  /** @returns the slot; must not be called when full */
  take(intendedMs: number, sentMs: number): number {
    this.#freeCount--;
    const slot = this.#free[this.#freeCount]!;
    this.#intendedMs[slot] = intendedMs;
    this.#sentMs[slot] = sentMs;
    this.#used[slot] = 1;
    return slot;
  }

  /** A number that stays unique for 2^20 uses of a slot; below 2^53 for any capacity this program allows. */
  tokenOf(slot: number): number {
    return (this.#generation[slot]! & 0xfffff) * this.capacity + slot;
  }

  /** The slot of a token, or −1 when that operation is over. */
  slotOf(token: number): number {
    const slot = token % this.capacity;
    return this.#used[slot] === 1 && this.tokenOf(slot) === token ? slot : none;
  }

  release(slot: number): void {
    this.#used[slot] = 0;
    this.#generation[slot]!++;
    this.#free[this.#freeCount] = slot;
    this.#freeCount++;
  }

  intendedMs(slot: number): number {
    return this.#intendedMs[slot]!;
  }

  sentMs(slot: number): number {
    return this.#sentMs[slot]!;
  }

  /** Slots in use, for the end of a run that is cut short. */
  *slots(): Generator<number> {
    for (let slot = 0; slot < this.capacity; slot++) if (this.#used[slot] === 1) yield slot;
  }
}
