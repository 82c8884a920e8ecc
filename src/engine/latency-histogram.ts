import { build as buildHdr, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import type { Latency } from '../record/measurement.ts';

/** 2048 sub-buckets: values keep three significant digits (HdrHistogram's layout with precision 3). */
const subBucketBits = 11;
const subBuckets = 1 << subBucketBits;
const half = subBuckets >> 1;
const maxUs = 0xffff_ffff;
/** One full bucket and a half for each further power of two up to 2^32 µs (71 minutes): 92 KiB. */
const slots = (32 - subBucketBits + 2) * half;
/** count, sum, min, max: in a typed array because updating a double in an object may allocate. */
const [countAt, sumAt, minAt, maxAt] = [0, 1, 2, 3] as const;

/**
 * Latencies in microseconds in a log-linear array of fixed size. Recording allocates nothing; two histograms of
 * different workers or seconds are merged by adding. Slots are those of HdrHistogram, so an export loses nothing.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(slots);
  readonly #totals = new Float64Array(4);

  constructor() {
    this.#totals[minAt] = maxUs;
  }

  /** Records a duration; negative ones (clock granularity) count as 0, longer than 71 minutes as that. */
  recordMs(ms: number): void {
    this.recordUs(ms <= 0 ? 0 : Math.min(maxUs, Math.round(ms * 1000)));
  }

  /** @param us a whole number of microseconds in 0 … 2^32−1 */
  recordUs(us: number): void {
    const totals = this.#totals;
    this.#counts[slotOf(us)]!++;
    totals[countAt]!++;
    totals[sumAt]! += us;
    if (us < totals[minAt]!) totals[minAt] = us;
    if (us > totals[maxAt]!) totals[maxAt] = us;
  }

  get count(): number {
    return this.#totals[countAt]!;
  }

  get minMs(): number {
    return this.count === 0 ? 0 : this.#totals[minAt]! / 1000;
  }

  get maxMs(): number {
    return this.#totals[maxAt]! / 1000;
  }

  get meanMs(): number {
    return this.count === 0 ? 0 : this.#totals[sumAt]! / this.count / 1000;
  }

  /** The value that `percent` of all recorded values do not exceed, in ms; 0 when nothing was recorded. */
  percentileMs(percent: number): number {
    if (this.count === 0) return 0;
    const wanted = Math.max(1, Math.ceil((Math.min(100, percent) / 100) * this.count));
    let seen = 0;
    for (let slot = 0; slot < slots; slot++) {
      seen += this.#counts[slot]!;
      if (seen >= wanted) return Math.min(highestOf(slot), this.#totals[maxAt]!) / 1000;
    }
    return this.maxMs;
  }

  /** How many recorded values were above `ms`, to the histogram's three digits. */
  countAboveMs(ms: number): number {
    let above = 0;
    const limit = slotOf(Math.min(maxUs, Math.max(0, Math.round(ms * 1000))));
    for (let slot = limit + 1; slot < slots; slot++) above += this.#counts[slot]!;
    return above;
  }

  add(other: LatencyHistogram): void {
    if (other.count === 0) return;
    for (let slot = 0; slot < slots; slot++) this.#counts[slot]! += other.#counts[slot]!;
    this.#totals[countAt]! += other.#totals[countAt]!;
    this.#totals[sumAt]! += other.#totals[sumAt]!;
    this.#totals[minAt] = Math.min(this.#totals[minAt]!, other.#totals[minAt]!);
    this.#totals[maxAt] = Math.max(this.#totals[maxAt]!, other.#totals[maxAt]!);
  }

  copy(): LatencyHistogram {
    const copy = new LatencyHistogram();
    copy.add(this);
    return copy;
  }

  reset(): void {
    if (this.count === 0) return;
    this.#counts.fill(0);
    this.#totals.fill(0);
    this.#totals[minAt] = maxUs;
  }

  /** As a measurement carries it, or null when there was no sample. */
  summary(): Latency | null {
    if (this.count === 0) return null;
    return {
      p50: this.percentileMs(50),
      p90: this.percentileMs(90),
      p95: this.percentileMs(95),
      p99: this.percentileMs(99),
      p999: this.percentileMs(99.9),
      max: this.maxMs,
    };
  }

  /** HdrHistogram V2, compressed, base64: any HDR tool can read and merge it. Values are microseconds. */
  toHdrBase64(): string {
    const hdr = buildHdr({
      highestTrackableValue: maxUs,
      numberOfSignificantValueDigits: 3,
      bitBucketSize: 32,
    });
    for (let slot = 0; slot < slots; slot++) {
      const count = this.#counts[slot]!;
      if (count > 0) hdr.recordValueWithCount(lowestOf(slot), count);
    }
    return encodeIntoCompressedBase64(hdr);
  }
}

function slotOf(us: number): number {
  const value = us >>> 0;
  const bucket = value < subBuckets ? 0 : 32 - subBucketBits - Math.clz32(value);
  return bucket * half + (value >>> bucket);
}

function bucketOf(slot: number): number {
  return slot < subBuckets ? 0 : Math.floor(slot / half) - 1;
}

function lowestOf(slot: number): number {
  const bucket = bucketOf(slot);
  return (slot - bucket * half) * 2 ** bucket;
}

function highestOf(slot: number): number {
  return lowestOf(slot) + 2 ** bucketOf(slot) - 1;
}
