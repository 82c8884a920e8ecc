/** Enough for timeouts: late by at most that, and a second is 100 steps. */
const defaultSlotMs = 10;
/** A power of two, so that the slot is a mask away; longer deadlines than a turn stay for the next one. */
const wheelSlots = 1024;
const none = -1;

/**
 * Deadlines of up to `capacity` handles (0 … capacity−1) in a ring of buckets: setting and clearing one is a few
 * writes into typed arrays, and one step of the ring serves all of them, where a setTimeout per operation would
 * cost an object and a heap entry each.
 */
export class TimeoutWheel {
  readonly #heads = new Int32Array(wheelSlots).fill(none);
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #dueMs: Float64Array;
  /** The bucket a handle stands in, or `none` when it is not set. */
  readonly #slot: Int32Array;
  readonly #slotMs: number;
  /** The last step that has been served. */
  #step: number;

  /** @param slotMs how late a deadline may fire: the width of a bucket */
  constructor(capacity: number, nowMs: number, slotMs = defaultSlotMs) {
    this.#slotMs = slotMs;
    this.#next = new Int32Array(capacity).fill(none);
    this.#previous = new Int32Array(capacity).fill(none);
    this.#dueMs = new Float64Array(capacity);
    this.#slot = new Int32Array(capacity).fill(none);
    this.#step = Math.floor(nowMs / slotMs);
  }

  /** The handle must not be set already. */
  set(handle: number, dueMs: number): void {
    // rounded up, so that the step is only served once the deadline has passed; never one already served
    const slot = Math.max(Math.ceil(dueMs / this.#slotMs), this.#step + 1) & (wheelSlots - 1);
    const head = this.#heads[slot]!;
    this.#dueMs[handle] = dueMs;
    this.#slot[handle] = slot;
    this.#next[handle] = head;
    this.#previous[handle] = none;
    if (head !== none) this.#previous[head] = handle;
    this.#heads[slot] = handle;
  }

  clear(handle: number): void {
    const slot = this.#slot[handle]!;
    if (slot === none) return;
    const next = this.#next[handle]!;
    const previous = this.#previous[handle]!;
    if (next !== none) this.#previous[next] = previous;
    if (previous === none) this.#heads[slot] = next;
    else this.#next[previous] = next;
    this.#slot[handle] = none;
  }

  /** Calls `expire` once for each handle whose deadline has passed; it is cleared before the call. */
  advance(nowMs: number, expire: (handle: number) => void): void {
    const target = Math.floor(nowMs / this.#slotMs);
    // after a stall longer than a turn every slot is due once; going round more often would find nothing new
    const first = Math.max(this.#step + 1, target - wheelSlots + 1);
    for (let step = first; step <= target; step++) this.#expireSlot(step & (wheelSlots - 1), nowMs, expire);
    this.#step = Math.max(this.#step, target);
  }

  #expireSlot(slot: number, nowMs: number, expire: (handle: number) => void): void {
    let handle = this.#heads[slot]!;
    while (handle !== none) {
      const next = this.#next[handle]!;
      // not yet due: it was set for a later turn of the wheel
      if (this.#dueMs[handle]! <= nowMs) {
        this.clear(handle);
        expire(handle);
      }
      handle = next;
    }
  }
}
