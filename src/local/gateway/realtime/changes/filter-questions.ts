import type pg from 'pg';
import { messageOf } from '../../../../kernel/errors.ts';
import type { Logger } from '../../../../kernel/log.ts';
import { checkFilterSql } from './changes.sql.ts';
import { type ColumnFilter, matchesFast } from './filters.ts';
import type { StreamedChange, Tuple } from './pgoutput-decoder.ts';

/**
 * Filters over one batch of changes. What can be said here is; the rest is collected and PostgreSQL is asked
 * once per distinct filter, for all values of the batch.
 */
export class FilterQuestions {
  readonly #pool: pg.Pool;
  readonly #log: Logger;
  readonly #questions = new Map<string, { filter: ColumnFilter; answers: Map<string | null, boolean> }>();

  constructor(pool: pg.Pool, log: Logger) {
    this.#pool = pool;
    this.#log = log;
  }

  /** Takes note of what has to be asked for these filters and this row. */
  note(filters: readonly ColumnFilter[] | undefined, change: StreamedChange): void {
    for (const filter of filters ?? []) {
      const row = rowOf(change);
      if (matchesFast(filter, row) !== undefined) continue;
      const key = keyOf(filter);
      let question = this.#questions.get(key);
      if (!question) {
        question = { filter, answers: new Map() };
        this.#questions.set(key, question);
      }
      question.answers.set(row.get(filter.column) ?? null, false);
    }
  }

  async ask(): Promise<void> {
    for (const { filter, answers } of this.#questions.values()) {
      const values = [...answers.keys()];
      try {
        const result = await this.#pool.query<{ matches: boolean[] | null }>(checkFilterSql, [
          values,
          filter.type,
          filter.operator,
          filter.operand,
          filter.negate,
        ]);
        const matches = result.rows[0]?.matches ?? [];
        for (const [i, value] of values.entries()) answers.set(value, matches[i] ?? false);
      } catch (error) {
        // the column's type has changed since the filter was checked: it matches nothing, the others go on
        this.#log.warn('a filter could not be evaluated', {
          column: filter.column,
          message: messageOf(error),
        });
      }
    }
  }

  passes(filters: readonly ColumnFilter[], change: StreamedChange): boolean {
    const row = filters.length === 0 ? null : rowOf(change);
    return filters.every((filter) => {
      const fast = row && matchesFast(filter, row);
      return (
        fast ?? this.#questions.get(keyOf(filter))?.answers.get(row?.get(filter.column) ?? null) ?? false
      );
    });
  }
}

/** DELETE is filtered on what is known of the old row, everything else on the new one. */
function rowOf(change: StreamedChange): Tuple {
  return (change.action === 'DELETE' ? change.old : change.new) ?? new Map();
}

function keyOf(filter: ColumnFilter): string {
  return JSON.stringify([filter.type, filter.operator, filter.operand, filter.negate]);
}
