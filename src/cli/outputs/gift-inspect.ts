import { z } from 'zod';

const personSchema = z.object({ id: z.string(), username: z.string().nullable() });

export const dataSchema = z.object({
  giftId: z.string(),
  seq: z.string(),
  /** `lost`: neither decided nor waiting, which the audit calls `gift.lost`. */
  status: z.enum(['pending', 'settled', 'failed', 'reversed', 'lost']),
  amount: z.number(),
  sender: personSchema,
  receiver: personSchema,
  stream: z.object({ id: z.string(), title: z.string().nullable(), status: z.string().nullable() }),
  /** The synthetic run it belongs to; null for a real gift. */
  runId: z.string().nullable(),
  takenInAt: z.string(),
  /** While it waits. */
  queue: z.object({ ahead: z.number(), waiting: z.number(), waitedS: z.number() }).nullable(),
  decision: z
    .object({
      status: z.enum(['settled', 'failed']),
      reason: z.string().nullable(),
      fee: z.number(),
      at: z.string(),
      waitedS: z.number(),
      batchId: z.string(),
      /** The settlement run; null once housekeeping has taken its log away. */
      batch: z
        .object({
          source: z.string(),
          startedAt: z.string(),
          finishedAt: z.string().nullable(),
          rounds: z.number(),
          claimed: z.number(),
          settled: z.number(),
          failed: z.number(),
          stopReason: z.string().nullable(),
          error: z.string().nullable(),
        })
        .nullable(),
    })
    .nullable(),
  reversal: z
    .object({
      reversalId: z.string(),
      amount: z.number(),
      fee: z.number(),
      reason: z.string(),
      actor: z.string(),
      at: z.string(),
    })
    .nullable(),
  /** Double entry; account 0 is the platform. */
  entries: z.array(
    z.object({ account: z.string(), kind: z.string(), amount: z.number(), bookedAt: z.string() }),
  ),
  wallets: z.array(
    z.object({ userId: z.string(), balance: z.number(), giftedTotal: z.number(), giftedCount: z.number() }),
  ),
});
