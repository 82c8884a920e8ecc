import { messageOf } from './errors.ts';

interface Release {
  readonly what: string;
  readonly release: () => Promise<void> | void;
}

/**
 * Resources in the order they were acquired; released last-in first-out, each within its own time.
 * One that fails or hangs is reported and does not keep the others from being released.
 */
export class ReleaseStack implements AsyncDisposable {
  readonly #releases: Release[] = [];
  readonly #eachMs: number;
  readonly #onTrouble: (text: string) => void;
  #released: Promise<void> | undefined;

  /** @param eachMs how long one release may take: 15 s covers PostgreSQL's slowest clean stop seen here (3 s) with room. */
  constructor(onTrouble: (text: string) => void, eachMs = 15_000) {
    this.#onTrouble = onTrouble;
    this.#eachMs = eachMs;
  }

  add(what: string, release: () => Promise<void> | void): void {
    this.#releases.push({ what, release });
  }

  /** Adds something that has `stop()` and gives it back. */
  use<T extends { stop(): Promise<void> | void }>(what: string, resource: T): T {
    this.add(what, () => resource.stop());
    return resource;
  }

  /** Idempotent: a second call waits for the first. */
  release(): Promise<void> {
    this.#released ??= this.#releaseAll();
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  async #releaseAll(): Promise<void> {
    for (let next = this.#releases.pop(); next; next = this.#releases.pop()) {
      await this.#releaseOne(next);
    }
  }

  async #releaseOne({ what, release }: Release): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.#eachMs);
    });
    try {
      const outcome = await Promise.race([Promise.resolve().then(release), tooLong]);
      if (outcome === 'late') this.#onTrouble(`${what} was not released within ${this.#eachMs} ms`);
    } catch (error) {
      this.#onTrouble(`${what} was not released: ${messageOf(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
