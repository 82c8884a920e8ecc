import type { EjectionReport } from '../../ops/guard/ejection-report.ts';

/**
 * How the last try for everybody on each stream ended. In one pass somebody may be tried several times, by rows of the
 * outbox and by comparison: a try that failed matters only if none behind it succeeded.
 */
export class LastOutcomes {
  readonly #done = new Map<string, boolean>();

  note({ streamId, userId, outcome }: Pick<EjectionReport, 'streamId' | 'userId' | 'outcome'>): void {
    this.#done.set(`${streamId}/${userId}`, outcome.kind === 'clean' || outcome.kind === 'obsolete');
  }

  /** Who is still to be put out or silenced, each counted once per stream. */
  get unfinished(): number {
    return [...this.#done.values()].filter((done) => !done).length;
  }
}
