import { z } from 'zod';
import { dataSchema as giftSchema } from './gift-inspect.ts';

export const dataSchema = z.object({
  dryRun: z.boolean(),
  /** As it is afterwards. */
  gift: giftSchema,
  /** Who pays whom, in coins. */
  plan: z.object({
    toSender: z.number(),
    fromReceiver: z.number(),
    fromPlatform: z.number(),
    receiverHas: z.number(),
  }),
  /** null with --dry-run; `duplicate`: it had been taken back before, and nothing was done. */
  reversal: z
    .object({
      reversalId: z.string(),
      reason: z.string(),
      actor: z.string(),
      reversedAt: z.string(),
      duplicate: z.boolean(),
    })
    .nullable(),
});
