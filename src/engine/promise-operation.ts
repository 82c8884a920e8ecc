import { messageOf } from '../kernel/errors.ts';
import type { Operation, Outcome } from './open-loop.ts';

/**
 * An operation from an async function, for clients that speak in promises (pg, supabase-js). One promise per
 * operation costs more than a callback: the hot paths settle by token instead.
 * @param work resolves to the outcome; a rejection is an error whose reason is `reasonOf(error)`
 */
export function promiseOperation(
  work: (index: number, intendedMs: number) => Promise<Outcome | { outcome: Outcome; reason: string }>,
  reasonOf: (error: unknown) => string = messageOf,
): Operation {
  return (token, index, intendedMs, settle) => {
    work(index, intendedMs).then(
      (ended) => {
        if (typeof ended === 'string') settle(token, ended);
        else settle(token, ended.outcome, ended.reason);
      },
      (error: unknown) => {
        settle(token, 'error', reasonOf(error));
      },
    );
  };
}
