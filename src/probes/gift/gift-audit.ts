import type pg from 'pg';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { Fixture } from '../fixture.ts';
import type { ProbeContext } from '../probe.ts';
import { auditSql, countGiftsSql } from './gift-ledger.sql.ts';
import type { AcknowledgedGifts, GiftPhase, GiftSchedule } from './gift-schedule.ts';

export interface GiftAudit {
  readonly gifts: number;
  readonly settled: number;
  readonly failed: number;
  /** In the ledger, in no settlement and not waiting either, or still waiting. */
  readonly unsettled: number;
  readonly settledTwice: number;
  /** Settlements of no gift. */
  readonly orphaned: number;
  readonly negativeWallets: number;
  readonly wallets: number;
  /** Wallets whose running total of gifts is not the sum of their settled gifts. */
  readonly wrongTotals: number;
  /** Deposits − balances − fees, in coins: 0 or money was made or lost. */
  readonly moneyDifference: number;
  readonly acknowledged: number;
  /** Acknowledged to the sender, and not in the ledger. */
  readonly lostAcknowledged: number;
  /** More rows in the ledger than gifts. */
  readonly doubled: number;
  /** Sent again with the same id on purpose. */
  readonly resent: number;
  /** Of those, answered as if they were new. */
  readonly resentAccepted: number;
}

interface AuditRow {
  readonly gifts: number;
  readonly settled: number;
  readonly failed: number;
  readonly unsettled: number;
  readonly settled_twice: number;
  readonly orphaned: number;
  readonly negative: number;
  readonly wallets: number;
  readonly wrong_totals: number;
  readonly balances: string;
  readonly fees: string;
  readonly deposits: string;
}

/** Ids asked for in one query: some 200 KB of text. */
const idsPerQuery = 5000;

/** Reads back what the run wrote and adds it up. Call it when nothing is being sent or settled any more. */
export async function auditGifts(
  ctx: ProbeContext,
  database: pg.Pool,
  schedule: GiftSchedule,
  acknowledged: Readonly<Partial<Record<GiftPhase, AcknowledgedGifts>>>,
  resent: { resent: number; resentAccepted: number },
): Promise<GiftAudit> {
  const { rows } = await database.query<AuditRow>(auditSql, [ctx.runId]);
  const row = rows[0];
  if (!row) throw new Error('the audit query gave no row'); // an aggregate always gives one
  let [asked, found, foundRows] = [0, 0, 0];
  for (const [phase, gifts] of Object.entries(acknowledged)) {
    for (const chunk of gifts.chunks(idsPerQuery)) {
      // safe: the keys of the record are phases
      const ids = chunk.map((index) => schedule.idOf(phase as GiftPhase, index));
      const counted = await database.query<{ gifts: number; rows: number }>(countGiftsSql, [ids]);
      asked += ids.length;
      found += counted.rows[0]?.gifts ?? 0;
      foundRows += counted.rows[0]?.rows ?? 0;
    }
  }
  return {
    gifts: row.gifts,
    settled: row.settled,
    failed: row.failed,
    unsettled: row.unsettled,
    settledTwice: row.settled_twice,
    orphaned: row.orphaned,
    negativeWallets: row.negative,
    wallets: row.wallets,
    wrongTotals: row.wrong_totals,
    moneyDifference: Number(BigInt(row.deposits) - BigInt(row.balances) - BigInt(row.fees)),
    acknowledged: asked,
    lostAcknowledged: asked - found,
    doubled: foundRows - found,
    ...resent,
  };
}

/** As many as a phone retries in a minute of bad network; each is one round trip. */
const resends = 25;

/** Sends some acknowledged gifts again under their ids: each must be answered as a duplicate. */
export async function resendGifts(
  ctx: ProbeContext,
  fixture: Fixture,
  schedule: GiftSchedule,
  acknowledged: AcknowledgedGifts,
): Promise<{ resent: number; resentAccepted: number }> {
  const rest = new SupabaseRest({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    connections: 1,
  });
  let [resent, resentAccepted] = [0, 0];
  try {
    const [sample = []] = acknowledged.chunks(resends);
    for (const index of sample) {
      if (ctx.signal.aborted) break;
      const { giftId, sender, receiver, amount } = schedule.gift('http', index);
      const args = {
        p_gift_id: giftId,
        p_stream_id: schedule.streamId,
        p_receiver_id: fixture.users[receiver]!.id,
        p_amount: amount,
      };
      const answer = await rest.rpc('send_gift', args, fixture.users[sender]!.token);
      const isDuplicate =
        typeof answer === 'object' && answer !== null && 'duplicate' in answer && answer.duplicate === true;
      resent++;
      if (!isDuplicate) resentAccepted++;
    }
  } finally {
    await rest.close();
  }
  return { resent, resentAccepted };
}
