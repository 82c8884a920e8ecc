import type pg from 'pg';
import { z } from 'zod';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { databaseError, sqlStateOf } from '../target/postgres/pool.ts';
import { reverseGiftSql } from './gift-inspection.sql.ts';
import type { GiftStory } from './gift-inspection.ts';
import { settlingInWords, settlingNow } from './gifts.ts';

/** Who would pay whom: the sender gets the whole amount, from the receiver what they got and from the platform the fee. */
export interface ReversalPlan {
  readonly toSender: number;
  readonly fromReceiver: number;
  readonly fromPlatform: number;
  /** What the receiver has now. */
  readonly receiverHas: number;
}

/** What a reversal answers; `duplicate` when the gift had been taken back before, and nothing was done now. */
export interface ReversalAnswer {
  readonly reversalId: string;
  readonly reason: string;
  readonly actor: string;
  readonly reversedAt: string;
  readonly duplicate: boolean;
}

const answerSchema = z.object({
  reversal_id: z.number(),
  reason: z.string(),
  actor: z.string(),
  reversed_at: z.string(),
  duplicate: z.boolean(),
});

/**
 * What reversing a gift would move, by the rules of migrations/000009: only a settled gift, whole, and only while the
 * receiver has the coins.
 * @throws TF-GIFT-007 when it would be refused, with why
 */
export function planReversal(gift: GiftStory): ReversalPlan {
  const { decision, amount } = gift;
  if (decision === null || decision.status !== 'settled') {
    const reason = decision?.reason ? ` (${decision.reason})` : '';
    throw refused(gift.giftId, `it is ${gift.status}${reason}`, whyNot(gift.status));
  }
  const receiver = gift.wallets.find(({ userId }) => userId === gift.receiver.id);
  const plan = {
    toSender: amount,
    fromReceiver: amount - decision.fee,
    fromPlatform: decision.fee,
    receiverHas: receiver?.balance ?? 0,
  };
  if (gift.reversal === null && plan.receiverHas < plan.fromReceiver) {
    throw refused(
      gift.giftId,
      `the receiver has ${plan.receiverHas} coins of the ${plan.fromReceiver} to give back`,
      'there are no partial reversals and no debts: deposit coins to the receiver first, or try again later',
    );
  }
  return plan;
}

/**
 * Takes a gift back by a new row. Asked again it gives the first answer.
 * @param actor who does it, for the audit trail
 * @throws TF-GIFT-006, TF-GIFT-007; TF-GIFT-001 when a settlement run does not let the lock go within 10 s;
 *   TF-DB-001, TF-DB-002, TF-DB-003
 */
export async function reverseGift(
  pool: pg.Pool,
  giftId: string,
  { reason, actor }: { readonly reason: string; readonly actor: string },
): Promise<ReversalAnswer> {
  try {
    const { rows } = await pool.query<{ reversal: unknown }>(reverseGiftSql, [giftId, reason, actor]);
    const answer = answerSchema.parse(rows[0]?.reversal);
    return {
      reversalId: String(answer.reversal_id),
      reason: answer.reason,
      actor: answer.actor,
      reversedAt: new Date(answer.reversed_at).toISOString(),
      duplicate: answer.duplicate,
    };
  } catch (error) {
    throw await reversalError(pool, giftId, error);
  }
}

async function reversalError(pool: pg.Pool, giftId: string, error: unknown): Promise<Error> {
  switch (sqlStateOf(error)) {
    case 'PT404':
      return new TrollfixError('TF-GIFT-006', messageOf(error), { cause: error });
    case 'PT409':
      return refused(giftId, messageOf(error), 'nothing moved');
    case '55P03': {
      const now = await settlingNow(pool);
      return new TrollfixError('TF-GIFT-001', 'a settlement run holds the lock for longer than 10 s', {
        why: now === null ? 'it has just let it go: try again' : settlingInWords(now),
        cause: error,
      });
    }
    default:
      return databaseError(error);
  }
}

function whyNot(status: GiftStory['status']): string {
  switch (status) {
    case 'pending':
      return 'it has moved no coins yet; reverse it after the next settlement run';
    case 'lost':
      return 'it is neither decided nor waiting: the ledger is broken, `trollfix gift audit` says more';
    default:
      return 'it moved no coins: there is nothing to give back';
  }
}

function refused(giftId: string, message: string, why: string): TrollfixError {
  return new TrollfixError('TF-GIFT-007', `gift ${giftId} cannot be reversed: ${message}`, {
    why,
    hint: `trollfix gift inspect ${giftId}`,
    details: { giftId },
  });
}
