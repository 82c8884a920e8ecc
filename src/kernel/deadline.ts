import { sleep } from './clock.ts';

/** Thrown when a deadline passes; callers turn it into the error of their room. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** Resolves as `work` does, or rejects with a DeadlineError that names `what` after `ms`. The work itself goes on. */
export function withDeadline<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DeadlineError(`${what} took longer than ${ms} ms`)), ms);
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}

/**
 * Asks `probe` every `everyMs` until it gives something other than undefined, at most `ms` long.
 * A probe that throws ends the wait with its error.
 */
export async function pollUntil<T>(
  probe: () => Promise<T | undefined> | T | undefined,
  options: { ms: number; everyMs: number; what: string; signal?: AbortSignal },
): Promise<T> {
  const endsAt = performance.now() + options.ms;
  while (true) {
    options.signal?.throwIfAborted();
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() >= endsAt) throw new DeadlineError(`${options.what}: not within ${options.ms} ms`);
    await sleep(options.everyMs, options.signal);
  }
}
