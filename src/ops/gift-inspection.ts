import type pg from 'pg';
import { TrollfixError } from '../kernel/errors.ts';
import { withConnection } from '../target/postgres/pool.ts';
import {
  batchSql,
  entriesSql,
  giftByIdSql,
  giftBySeqSql,
  queuePlaceSql,
  reversalSql,
  walletsSql,
} from './gift-inspection.sql.ts';

/** How a gift is named: by the id its sender made, or by its place in the ledger. */
export type GiftReference = { readonly giftId: string } | { readonly seq: string };

export interface Person {
  readonly id: string;
  /** null when there is no profile (any more). */
  readonly username: string | null;
}

/** A gift from intake to reversal. Coins are exact up to 2^53; times are ISO, by the database's clock. */
export interface GiftStory {
  readonly giftId: string;
  readonly seq: string;
  readonly status: 'pending' | 'settled' | 'failed' | 'reversed' | 'lost';
  readonly amount: number;
  readonly sender: Person;
  readonly receiver: Person;
  readonly stream: { readonly id: string; readonly title: string | null; readonly status: string | null };
  /** The synthetic run it belongs to. */
  readonly runId: string | null;
  readonly takenInAt: string;
  /** While it waits. */
  readonly queue: { readonly ahead: number; readonly waiting: number; readonly waitedS: number } | null;
  readonly decision: GiftDecision | null;
  readonly reversal: GiftReversal | null;
  /** Double entry: what was booked, to whom; account 0 is the platform. */
  readonly entries: readonly GiftEntry[];
  readonly wallets: readonly WalletNow[];
}

export interface GiftDecision {
  readonly status: 'settled' | 'failed';
  /** Why it failed: insufficient_funds, no_wallet. */
  readonly reason: string | null;
  readonly fee: number;
  readonly at: string;
  readonly waitedS: number;
  readonly batchId: string;
  /** null once housekeeping has taken the log away. */
  readonly batch: GiftBatch | null;
}

export interface GiftBatch {
  readonly source: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly rounds: number;
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly stopReason: string | null;
  readonly error: string | null;
}

export interface GiftReversal {
  readonly reversalId: string;
  readonly amount: number;
  readonly fee: number;
  readonly reason: string;
  readonly actor: string;
  readonly at: string;
}

export interface GiftEntry {
  readonly account: string;
  readonly kind: string;
  readonly amount: number;
  readonly bookedAt: string;
}

export interface WalletNow {
  readonly userId: string;
  readonly balance: number;
  readonly giftedTotal: number;
  readonly giftedCount: number;
}

/**
 * Everything the ledger knows of one gift, read in one snapshot.
 * @throws TF-GIFT-006 when there is none; TF-DB-001, TF-DB-002, TF-DB-003
 */
export async function inspectGift(pool: pg.Pool, reference: GiftReference): Promise<GiftStory> {
  return withConnection(pool, async (client) => {
    await client.query('begin transaction isolation level repeatable read read only');
    const story = await readStory(client, reference);
    await client.query('rollback');
    return story;
  });
}

async function readStory(client: pg.PoolClient, reference: GiftReference): Promise<GiftStory> {
  const [sql, value] = 'seq' in reference ? [giftBySeqSql, reference.seq] : [giftByIdSql, reference.giftId];
  const gift = (await client.query<GiftRow>(sql, [value])).rows[0];
  if (gift === undefined) throw new TrollfixError('TF-GIFT-006', `no gift ${value} in the ledger`);
  const queued = (await client.query<QueueRow>(queuePlaceSql, [gift.seq])).rows[0];
  const reversal = (await client.query<ReversalRow>(reversalSql, [gift.seq])).rows[0];
  const entries = (await client.query<EntryRow>(entriesSql, [gift.seq])).rows;
  const wallets = (await client.query<WalletRow>(walletsSql, [[gift.sender_id, gift.receiver_id]])).rows;
  const decision = gift.decision === null ? null : await decisionOf(client, gift);
  return {
    giftId: gift.gift_id,
    seq: gift.seq,
    // in the ledger, and neither decided nor waiting: the audit's `gift.lost`
    status: reversal ? 'reversed' : (gift.decision ?? (queued ? 'pending' : 'lost')),
    amount: Number(gift.amount),
    sender: { id: gift.sender_id, username: gift.sender_name },
    receiver: { id: gift.receiver_id, username: gift.receiver_name },
    stream: { id: gift.stream_id, title: gift.stream_title, status: gift.stream_status },
    runId: gift.run_id,
    takenInAt: gift.created_at.toISOString(),
    queue: queued
      ? { ahead: Number(queued.ahead), waiting: Number(queued.waiting), waitedS: queued.waited_s }
      : null,
    decision,
    reversal: reversal ? reversalOf(reversal) : null,
    entries: entries.map(({ account, kind, amount, booked_at: at }) => ({
      ...{ account, kind, amount: Number(amount), bookedAt: at.toISOString() },
    })),
    wallets: wallets.map((wallet) => ({
      userId: wallet.user_id,
      balance: Number(wallet.balance),
      giftedTotal: Number(wallet.gifted_total),
      giftedCount: Number(wallet.gifted_count),
    })),
  };
}

async function decisionOf(client: pg.PoolClient, gift: GiftRow): Promise<GiftDecision> {
  const { decision: status, reason, fee, settled_at: at, batch_id: batchId } = gift;
  if (status === null || at === null || batchId === null) throw new Error('a decision has all its columns'); // not null
  const batch = (await client.query<BatchRow>(batchSql, [batchId])).rows[0];
  return {
    status,
    reason,
    fee: Number(fee),
    at: at.toISOString(),
    waitedS: (at.getTime() - gift.created_at.getTime()) / 1000,
    batchId,
    batch: batch
      ? {
          source: batch.source,
          startedAt: batch.started_at.toISOString(),
          finishedAt: batch.finished_at?.toISOString() ?? null,
          rounds: batch.rounds,
          claimed: Number(batch.claimed),
          settled: Number(batch.settled),
          failed: Number(batch.failed),
          stopReason: batch.stop_reason,
          error: batch.error,
        }
      : null,
  };
}

function reversalOf(row: ReversalRow): GiftReversal {
  return {
    reversalId: row.reversal_id,
    amount: Number(row.amount),
    fee: Number(row.fee),
    reason: row.reason,
    actor: row.actor,
    at: row.reversed_at.toISOString(),
  };
}

interface GiftRow {
  seq: string;
  gift_id: string;
  amount: string;
  created_at: Date;
  run_id: string | null;
  sender_id: string;
  sender_name: string | null;
  receiver_id: string;
  receiver_name: string | null;
  stream_id: string;
  stream_title: string | null;
  stream_status: string | null;
  decision: 'settled' | 'failed' | null;
  reason: string | null;
  fee: string | null;
  settled_at: Date | null;
  batch_id: string | null;
}

interface QueueRow {
  ahead: string;
  waiting: string;
  waited_s: number;
}

interface BatchRow {
  source: string;
  started_at: Date;
  finished_at: Date | null;
  rounds: number;
  claimed: string;
  settled: string;
  failed: string;
  stop_reason: string | null;
  error: string | null;
}

interface ReversalRow {
  reversal_id: string;
  amount: string;
  fee: string;
  reason: string;
  actor: string;
  reversed_at: Date;
}

interface EntryRow {
  account: string;
  kind: string;
  amount: string;
  booked_at: Date;
}

interface WalletRow {
  user_id: string;
  balance: string;
  gifted_total: string;
  gifted_count: string;
}
