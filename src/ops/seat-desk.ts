import type pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { LiveKitAdmin } from '../target/livekit/admin.ts';
import { databaseError, sqlStateOf } from '../target/postgres/pool.ts';

/** A person or daemon at work on seats: what they act through and who they are in the audit trail. */
export interface SeatDesk {
  readonly database: pg.Pool;
  /** null where the target has no LiveKit: rows change, nobody is ejected from here. */
  readonly livekit: LiveKitAdmin | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly actor: string;
}

/** @throws TF-DB-*; TF-SEAT-003, TF-SEAT-004, TF-SEAT-006 for what the seat functions of the schema refuse */
export async function query<Row extends pg.QueryResultRow>(
  desk: Pick<SeatDesk, 'database' | 'signal'>,
  sql: string,
  values: readonly unknown[],
): Promise<Row[]> {
  desk.signal.throwIfAborted();
  try {
    const result = await desk.database.query<Row>(sql, [...values]);
    return result.rows;
  } catch (error) {
    throw refusalOf(error) ?? databaseError(error);
  }
}

/** What the database refused, in its own words; they name the person, the stream and the time. */
function refusalOf(error: unknown): TrollfixError | null {
  const code = { PT404: 'TF-SEAT-003', PT409: 'TF-SEAT-004', '22023': 'TF-SEAT-006' } as const;
  const state = sqlStateOf(error);
  if (state !== 'PT404' && state !== 'PT409' && state !== '22023') return null;
  const hint: unknown = error instanceof Error ? Reflect.get(error, 'hint') : undefined;
  return new TrollfixError(code[state], messageOf(error), {
    ...(typeof hint === 'string' ? { hint } : {}),
    cause: error,
  });
}
