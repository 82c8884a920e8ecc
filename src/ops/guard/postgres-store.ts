import type pg from 'pg';
import { withDeadline } from '../../kernel/deadline.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { databaseError } from '../../target/postgres/pool.ts';
import {
  completeEjectionSql,
  expireDueSeatsSql,
  farewellSql,
  guardedRoomsSql,
  heartbeatSql,
  pendingEjectionsSql,
  seatFactsSql,
  touchSeatsSql,
} from './guard.sql.ts';
import type { GuardStore } from './guard-store.ts';
import { factsOf, pairsArgument, pendingOf, roomsOf } from './store-answers.ts';

/**
 * Each of these statements takes milliseconds; behind a lock or a server that went without a word it would take for
 * ever, and an ejection with it.
 */
const statementMs = 5_000;

/** The rows over a connection to PostgreSQL. The pool stays the caller's. */
export function postgresStore(database: pg.Pool): GuardStore {
  async function ask(what: string, sql: string, values: readonly unknown[]): Promise<unknown> {
    try {
      const asked = database.query<{ answer?: unknown }>(sql, [...values]);
      const { rows } = await withDeadline(asked, statementMs, what);
      return rows[0]?.answer;
    } catch (error) {
      throw unreachable(error);
    }
  }

  return {
    async expireDueSeats(limit) {
      await ask('the sweep of seats', expireDueSeatsSql, [limit]);
    },
    async pendingEjections(except, limit) {
      return pendingOf(await ask('reading the outbox', pendingEjectionsSql, [except, limit]));
    },
    async settleEjection(id, error) {
      await ask('settling an ejection', completeEjectionSql, [id, error]);
    },
    async guardedRooms(rooms) {
      return roomsOf(await ask('reading the rooms', guardedRoomsSql, [rooms]));
    },
    async seatFacts(pairs) {
      const argument = pairs === null ? null : JSON.stringify(pairsArgument(pairs));
      return factsOf(await ask('reading the seats', seatFactsSql, [argument]));
    },
    async touchSeats(pairs) {
      await ask('noting who is there', touchSeatsSql, [JSON.stringify(pairsArgument(pairs))]);
    },
    async heartbeat(id, state) {
      await ask('the heartbeat', heartbeatSql, [id, JSON.stringify(state)]);
    },
    async farewell(id) {
      await ask('the farewell', farewellSql, [id]);
    },
  };
}

function unreachable(error: unknown): Error {
  if (error instanceof Error && error.name === 'DeadlineError') {
    return new TrollfixError('TF-DB-001', `PostgreSQL does not answer: ${error.message}`, { cause: error });
  }
  return databaseError(error);
}
