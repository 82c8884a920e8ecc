/** The two clocks of a browser. */
export interface LocalClocks {
  /** Milliseconds since the epoch, as the device believes them; may be set by its user. */
  wallMs(): number;
  /** Milliseconds that never go back; may stand still while the device sleeps. */
  steadyMs(): number;
}

export const browserClocks: LocalClocks = {
  wallMs: () => Date.now(),
  steadyMs: () => performance.now(),
};

/** The database's time, carried on from the last time it was asked. Seats end by it, not by the device's clock. */
export class ServerClock {
  readonly #local: LocalClocks;
  #sample: { serverMs: number; wallMs: number; steadyMs: number } | undefined;

  constructor(local: LocalClocks = browserClocks) {
    this.#local = local;
  }

  /**
   * Takes in an answer that carried the server's time.
   * @param serverMs the server's time in the answer, milliseconds since the epoch
   * @param roundTripMs how long the question took; half of it is taken for the way back
   */
  observe(serverMs: number, roundTripMs: number): void {
    this.#sample = {
      serverMs: serverMs + roundTripMs / 2,
      wallMs: this.#local.wallMs(),
      steadyMs: this.#local.steadyMs(),
    };
  }

  /** Milliseconds since the epoch. Before the first answer it is the device's own time. */
  nowMs(): number {
    const sample = this.#sample;
    if (sample === undefined) return this.#local.wallMs();
    const wall = this.#local.wallMs() - sample.wallMs;
    const steady = this.#local.steadyMs() - sample.steadyMs;
    // a sleep stops one of them and a user can set back the other: the one that saw more time pass is right, and
    // where it is not, a seat ends early and the next answer gives it back
    return sample.serverMs + Math.max(wall, steady);
  }
}
