import type pg from 'pg';
import type { Invariant } from '../../record/matrix-row.ts';
import { invariant } from '../run-experiment.ts';
import { missingGiftsSql, runBooksSql, walletDifferencesSql } from './money.sql.ts';

interface Books {
  readonly deposited: string;
  readonly held: string;
  readonly fees: string;
  readonly wallets: number;
  readonly negative: number;
  readonly gifts: number;
  readonly decided: number;
  readonly pending: number;
  readonly orphans: number;
  readonly decided_and_pending: number;
}

/**
 * The money of one run after all its gifts are decided: conserved, nowhere negative, each wallet what its own gifts
 * make of it (which a gift settled twice would break), each gift decided exactly once, nothing acknowledged lost.
 * @param acknowledged gift ids whose intake was confirmed to the sender
 */
export async function checkMoney(
  database: pg.Pool,
  runId: string,
  acknowledged: readonly string[],
): Promise<Invariant[]> {
  const books = (await database.query<Books>(runBooksSql, [runId])).rows[0];
  if (books === undefined) throw new Error('the books of the run gave no row');
  const wrong = await database.query<{ user_id: string; balance: string; booked: string }>(
    walletDifferencesSql,
    [runId],
  );
  const lost = await database.query<{ id: string }>(missingGiftsSql, [acknowledged]);
  const difference = BigInt(books.held) + BigInt(books.fees) - BigInt(books.deposited);
  return [
    invariant('money conserved', books.wallets, difference === 0n ? [] : [`${difference} coins too many`]),
    invariant('no negative balance', books.wallets, times(books.negative, 'a wallet is negative')),
    invariant(
      'each wallet is what its gifts make of it',
      books.wallets,
      wrong.rows.map((row) => `wallet ${row.user_id} holds ${row.balance}, its gifts make ${row.booked}`),
    ),
    invariant('each gift decided exactly once', books.gifts, [
      ...(books.decided + books.pending === books.gifts
        ? []
        : [`${books.gifts} gifts, ${books.decided} decided, ${books.pending} pending`]),
      ...times(books.orphans, 'a decision without a gift'),
      ...times(books.decided_and_pending, 'a decided gift is still in the queue'),
      ...times(books.pending, 'a gift is not decided'),
    ]),
    invariant(
      'nothing acknowledged is lost',
      acknowledged.length,
      lost.rows.map((row) => `acknowledged but not in the ledger: ${row.id}`),
    ),
  ];
}

function times(count: number, what: string): string[] {
  return Array.from({ length: count }, () => what);
}
