import { z } from 'zod';
import { seatChangeSchema } from './seat-row.ts';

export const dataSchema = seatChangeSchema.extend({
  /** null with --dry-run. Milliseconds count from the start of the revocation. */
  revocation: z
    .object({
      banId: z.string().nullable(),
      ejectionId: z.string().nullable(),
      revokedAt: z.string(),
      until: z.string().nullable(),
      durableMs: z.number(),
      confirmedMs: z.number().nullable(),
      cleanMs: z.number().nullable(),
      ejection: z.discriminatedUnion('status', [
        z.object({ status: z.literal('done'), removed: z.array(z.string()) }),
        z.object({ status: z.literal('pending'), why: z.string() }),
        z.object({ status: z.literal('returns'), stillThere: z.array(z.string()) }),
      ]),
    })
    .nullable(),
});
