/** A parsed `pg_current_snapshot()`: which transactions a new statement sees. */
export class Snapshot {
  readonly #xmin: bigint;
  readonly #xmax: bigint;
  readonly #inProgress: ReadonlySet<bigint>;

  /** @param text `xmin:xmax:xip,xip,…` in xid8 numbers */
  constructor(text: string) {
    const [xmin = '0', xmax = '0', list = ''] = text.split(':');
    this.#xmin = BigInt(xmin);
    this.#xmax = BigInt(xmax);
    this.#inProgress = new Set(list === '' ? [] : list.split(',').map(BigInt));
  }

  /** Whether a committed transaction is visible. @param xid 32 bits, as pgoutput sends it */
  sees(xid: number): boolean {
    const full = this.#withEpoch(xid);
    if (full < this.#xmin) return true;
    return full < this.#xmax && !this.#inProgress.has(full);
  }

  /** The xid8 next to this snapshot's xmax: the stream and the snapshot are never 2^31 transactions apart. */
  #withEpoch(xid: number): bigint {
    const full = (this.#xmax & ~0xffff_ffffn) | BigInt(xid);
    if (full > this.#xmax + 0x8000_0000n) return full - 0x1_0000_0000n;
    if (full + 0x8000_0000n < this.#xmax) return full + 0x1_0000_0000n;
    return full;
  }
}
