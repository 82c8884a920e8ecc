import { TrollfixError } from '../../../src/kernel/errors.ts';

/** What `run` is refused with. */
export function refusal(run: () => unknown): TrollfixError {
  try {
    run();
  } catch (error) {
    if (error instanceof TrollfixError) return error;
    throw error;
  }
  throw new Error('not refused');
}
