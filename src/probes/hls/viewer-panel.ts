/**
 * The buffer of the viewers that fetch every segment: media time on the left, wall time on the right. A viewer
 * begins to play when its first segment is in, and stalls when the playhead reaches the end of what is buffered
 * until the next segment is there. The time to the first segment is startup, not stalling.
 */
export class ViewerPanel {
  readonly size: number;
  readonly #bufferedS: Float64Array;
  readonly #playingSinceMs: Float64Array;
  readonly #stalledMs: Float64Array;
  readonly #stalls: Uint32Array;

  constructor(size: number) {
    this.size = size;
    this.#bufferedS = new Float64Array(size);
    this.#playingSinceMs = new Float64Array(size);
    this.#stalledMs = new Float64Array(size);
    this.#stalls = new Uint32Array(size);
  }

  includes(viewer: number): boolean {
    return viewer < this.size;
  }

  /** A segment of `durationS` is in. */
  buffer(viewer: number, durationS: number, nowMs: number): void {
    if (this.#playingSinceMs[viewer] === 0) this.#playingSinceMs[viewer] = nowMs;
    this.#catchUp(viewer, nowMs);
    this.#bufferedS[viewer]! += durationS;
  }

  /** Stalled over stalled and played time of everybody, and who stalled at all. */
  finish(nowMs: number): { rebufferRatio: number | null; stalledViewers: number; stalls: number } {
    let [stalledMs, watchedMs, stalledViewers, stalls] = [0, 0, 0, 0];
    for (let viewer = 0; viewer < this.size; viewer++) {
      const sinceMs = this.#playingSinceMs[viewer]!;
      if (sinceMs === 0) continue;
      this.#catchUp(viewer, nowMs);
      watchedMs += nowMs - sinceMs;
      stalledMs += this.#stalledMs[viewer]!;
      stalls += this.#stalls[viewer]!;
      if (this.#stalls[viewer]! > 0) stalledViewers++;
    }
    return { rebufferRatio: watchedMs === 0 ? null : stalledMs / watchedMs, stalledViewers, stalls };
  }

  /** What the playhead has passed beyond the buffer since is stalled time. */
  #catchUp(viewer: number, nowMs: number): void {
    const playedMs = nowMs - this.#playingSinceMs[viewer]! - this.#stalledMs[viewer]!;
    const shortMs = playedMs - this.#bufferedS[viewer]! * 1000;
    if (shortMs <= 0 || this.#bufferedS[viewer] === 0) return;
    this.#stalledMs[viewer]! += shortMs;
    this.#stalls[viewer]!++;
  }
}
