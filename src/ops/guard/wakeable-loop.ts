/** Something that is done again and again: when it is due, or when somebody wakes it. Never twice at once. */
export class WakeableLoop {
  readonly #turn: (signal: AbortSignal) => Promise<number>;
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();
  #woken = false;

  /** @param turn does it once, never throws, and says in how many milliseconds it is due again */
  constructor(turn: (signal: AbortSignal) => Promise<number>) {
    this.#turn = turn;
  }

  /** Begins with a turn at once. Idempotent. */
  start(): void {
    if (this.#running !== undefined) return;
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Another turn as soon as the present one is over; a wake that comes during one counts. */
  wake(): void {
    this.#woken = true;
    this.#wake.resolve();
  }

  /** Waits for the turn in progress. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopping'));
    this.wake();
    await this.#running;
    this.#running = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#woken = false;
      this.#wake = Promise.withResolvers();
      const dueMs = await this.#turn(signal);
      if (this.#woken) continue;
      const timer = setTimeout(() => this.#wake.resolve(), Math.max(0, dueMs));
      await this.#wake.promise;
      clearTimeout(timer);
    }
  }
}
