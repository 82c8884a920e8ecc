import type pg from 'pg';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { Fixture } from '../fixture.ts';
import type { ProbeContext } from '../probe.ts';
import { countGiftsSql } from './gift-ledger.sql.ts';
import type { AcknowledgedGifts, GiftPhase, GiftSchedule } from './gift-schedule.ts';

export interface LookedUp {
  readonly acknowledged: number;
  /** Acknowledged to the sender, and not in the ledger. */
  readonly lost: number;
}

export interface Resent {
  /** Sent again with the same id on purpose, and answered. */
  readonly resent: number;
  /** Sent again and not answered, or refused: nothing is known of them. */
  readonly failed: number;
  /** Of those, answered as if they were new. */
  readonly accepted: number;
}

/** Ids asked for in one query: some 200 KB of text. */
const idsPerQuery = 5000;

/** Looks every acknowledged gift up in the ledger: what the senders were told is what is there. */
export async function lookUpAcknowledged(
  database: pg.Pool,
  schedule: GiftSchedule,
  acknowledged: Readonly<Partial<Record<GiftPhase, AcknowledgedGifts>>>,
): Promise<LookedUp> {
  let [asked, found] = [0, 0];
  for (const [phase, gifts] of Object.entries(acknowledged)) {
    for (const chunk of gifts.chunks(idsPerQuery)) {
      // safe: the keys of the record are phases
      const ids = chunk.map((index) => schedule.idOf(phase as GiftPhase, index));
      const counted = await database.query<{ gifts: number }>(countGiftsSql, [ids]);
      asked += ids.length;
      found += counted.rows[0]?.gifts ?? 0;
    }
  }
  return { acknowledged: asked, lost: asked - found };
}

/** As many as a phone retries in a minute of bad network; each is one round trip. */
const resends = 25;
/** Each may take its whole timeout: a server that answers none of these is not asked for more. */
const mostFailures = 3;

/**
 * Sends some acknowledged gifts again under their ids: each must be answered as a duplicate.
 * @throws the last failure when none was answered
 */
export async function resendGifts(
  ctx: ProbeContext,
  fixture: Fixture,
  schedule: GiftSchedule,
  acknowledged: AcknowledgedGifts,
): Promise<Resent> {
  const rest = new SupabaseRest({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    connections: 1,
  });
  let [resent, accepted] = [0, 0];
  const failures: unknown[] = [];
  try {
    const [sample = []] = acknowledged.chunks(resends);
    for (const index of sample) {
      if (ctx.signal.aborted || failures.length === mostFailures) break;
      const { giftId, sender, receiver, amount } = schedule.gift('http', index);
      const args = {
        p_gift_id: giftId,
        p_stream_id: schedule.streamId,
        p_receiver_id: fixture.users[receiver]!.id,
        p_amount: amount,
      };
      let answer: unknown;
      try {
        answer = await rest.rpc('send_gift', args, fixture.users[sender]!.token);
      } catch (error) {
        failures.push(error);
        continue;
      }
      const isDuplicate =
        typeof answer === 'object' && answer !== null && 'duplicate' in answer && answer.duplicate === true;
      resent++;
      if (!isDuplicate) accepted++;
    }
  } finally {
    await rest.close();
  }
  if (resent === 0 && failures.length > 0) throw failures.at(-1);
  return { resent, accepted, failed: failures.length };
}
