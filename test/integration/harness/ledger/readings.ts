import type pg from 'pg';
import { withConnection } from '../../../../src/target/postgres/pool.ts';
import * as sql from './readings.sql.ts';

/** All that a ledger says at one moment, as plain data: what the checks judge. Times are microseconds since 1970. */
export interface LedgerReadings {
  readonly feeBps: number;
  readonly gifts: readonly GiftReading[];
  readonly settlements: readonly SettlementReading[];
  readonly reversals: readonly ReversalReading[];
  /** The queue, by seq. */
  readonly pending: readonly number[];
  readonly wallets: ReadonlyArray<{ readonly user: string; readonly balance: bigint }>;
  readonly deposits: ReadonlyArray<{ readonly user: string; readonly amount: bigint }>;
  readonly boards: readonly ScoreReading[];
  /** The cached lists that people see, entry by entry. */
  readonly tops: ReadonlyArray<ScoreReading & { readonly rank: number }>;
}

export interface GiftReading {
  readonly seq: number;
  readonly id: string;
  readonly sender: string;
  readonly receiver: string;
  readonly stream: string;
  readonly amount: bigint;
  /** The UTC date of its intake. */
  readonly day: string;
  readonly runId: string | null;
}

export interface SettlementReading {
  readonly seq: number;
  readonly status: 'settled' | 'failed';
  readonly reason: string | null;
  readonly fee: bigint;
  readonly settledAt: number;
}

export interface ReversalReading {
  readonly seq: number;
  readonly sender: string;
  readonly receiver: string;
  readonly amount: bigint;
  readonly fee: bigint;
  readonly reversedAt: number;
}

export interface ScoreReading {
  readonly scope: string;
  readonly user: string;
  readonly total: bigint;
  readonly gifts: number;
}

type Row = Record<string, unknown>;

/** Ten thousands of rows from a database that has just come back; half a minute is a machine in trouble. */
const readingTimeout = '30s';

/**
 * Reads the ledger of one run, or all of it, in one snapshot.
 * @param runId null: everything, real and synthetic
 */
export async function readLedger(pool: pg.Pool, runId: string | null = null): Promise<LedgerReadings> {
  return withConnection(pool, async (client) => {
    await client.query('begin isolation level repeatable read read only');
    await client.query(`set local statement_timeout = '${readingTimeout}'`);
    const readings = await readLedgerIn(client, runId);
    await client.query('commit');
    return readings;
  });
}

/** The same as the caller's transaction sees it. */
export async function readLedgerIn(
  client: Pick<pg.ClientBase, 'query'>,
  runId: string | null = null,
): Promise<LedgerReadings> {
  const read = async <T>(statement: string, shape: (row: Row) => T): Promise<T[]> =>
    (await client.query<Row>(statement, [runId])).rows.map(shape);
  const settings = await client.query<{ fee_bps: number }>(sql.feeSql);
  return {
    feeBps: settings.rows[0]?.fee_bps ?? 0,
    gifts: await read(sql.giftsSql, asGift),
    settlements: await read(sql.settlementsSql, asSettlement),
    reversals: await read(sql.reversalsSql, asReversal),
    pending: await read(sql.pendingSql, (row) => Number(row.seq)),
    wallets: await read(sql.walletsSql, (row) => ({
      user: text(row.user_id),
      balance: coins(row.balance),
    })),
    deposits: await read(sql.depositsSql, (row) => ({
      user: text(row.user_id),
      amount: coins(row.amount),
    })),
    boards: await read(sql.boardsSql, asScore),
    tops: await read(sql.topsSql, (row) => ({ ...asScore(row), rank: Number(row.rank) })),
  };
}

const text = (value: unknown): string => String(value);
const optional = (value: unknown): string | null => (value === null ? null : String(value));
// bigint and numeric arrive as text
const coins = (value: unknown): bigint => BigInt(String(value));

function asGift(row: Row): GiftReading {
  return {
    seq: Number(row.seq),
    id: text(row.gift_id),
    sender: text(row.sender_id),
    receiver: text(row.receiver_id),
    stream: text(row.stream_id),
    amount: coins(row.amount),
    day: text(row.day),
    runId: optional(row.run_id),
  };
}

function asSettlement(row: Row): SettlementReading {
  return {
    seq: Number(row.seq),
    status: row.status === 'settled' ? 'settled' : 'failed',
    reason: optional(row.reason),
    fee: coins(row.fee),
    settledAt: Number(row.settled_at),
  };
}

function asReversal(row: Row): ReversalReading {
  return {
    seq: Number(row.seq),
    sender: text(row.sender_id),
    receiver: text(row.receiver_id),
    amount: coins(row.amount),
    fee: coins(row.fee),
    reversedAt: Number(row.reversed_at),
  };
}

function asScore(row: Row): ScoreReading {
  return {
    scope: text(row.scope),
    user: text(row.user_id),
    total: coins(row.total),
    gifts: Number(row.gifts),
  };
}
