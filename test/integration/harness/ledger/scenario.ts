import { randomUUID } from 'node:crypto';
import { messageOf } from '../../../../src/kernel/errors.ts';
import { sqlStateOf } from '../../../../src/target/postgres/pool.ts';
import type { Cast, LedgerDatabase } from './ledger-database.ts';
import type { Session } from './session.ts';

/** A named check of one guard: directed, so that it holds or fails at once and not when the load happens to hit. */
export interface Scenario {
  readonly name: string;
  /** @returns what it found to be wrong; empty when the guard held */
  run(ledger: LedgerDatabase): Promise<string[]>;
}

/**
 * Runs a scenario over an empty queue. An error that the database gives in it is something found; any other, a wait
 * that did not end for one, is the test's own failure.
 */
export async function judge(ledger: LedgerDatabase, scenario: Scenario): Promise<string[]> {
  await ledger.db.pool.query('delete from gift_pending');
  try {
    return await scenario.run(ledger);
  } catch (error) {
    if (sqlStateOf(error) === '') throw error;
    return [`SQLSTATE ${sqlStateOf(error)}: ${messageOf(error)}`];
  }
}

/** A sender's gift, sent; ids are only for those who ask for them. */
export async function sendOne(
  ledger: LedgerDatabase,
  cast: Cast,
  sender: number,
  receiver: number,
  amount: number,
): Promise<string> {
  const id = randomUUID();
  const [from, to, stream] = [cast.users[sender], cast.users[receiver], cast.streams[0]];
  if (from === undefined || to === undefined || stream === undefined) throw new RangeError('no such person');
  await ledger.send({ id, sender: from, receiver: to, stream, amount: BigInt(amount) });
  return id;
}

/** Of the cast's gifts in the order they were sent. */
export async function statuses(ledger: LedgerDatabase, cast: Cast): Promise<string[]> {
  const { rows } = await ledger.db.pool.query<{ status: string }>(
    'select status from gifts where sender_id = any($1) order by seq',
    [cast.users],
  );
  return rows.map(({ status }) => status);
}

export async function balances(ledger: LedgerDatabase, cast: Cast): Promise<number[]> {
  const { rows } = await ledger.db.pool.query<{ balance: number }>(
    'select balance::int from wallets where user_id = any($1) order by user_id',
    [cast.users],
  );
  return rows.map(({ balance }) => balance);
}

/** A violation in words when the two differ. */
export function unlike(what: string, found: unknown, expected: unknown): string[] {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  return a === b ? [] : [`${what}: ${a}, not ${b}`];
}

/** Locks these wallets in a transaction of `session`, as any other writer of wallets would. */
export async function holdWallets(session: Session, users: ReadonlyArray<string | undefined>): Promise<void> {
  await session.query('begin');
  await session.query('select from wallets where user_id = any($1) order by user_id for no key update', [
    users,
  ]);
}
