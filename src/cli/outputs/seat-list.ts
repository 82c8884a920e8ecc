import { z } from 'zod';
import { seatSchema } from './seat-row.ts';

export const dataSchema = z.object({
  seats: z.array(
    // identities LiveKit lists for the user now; null when it was not asked or did not answer
    seatSchema.extend({ inRoom: z.array(z.string()).nullable() }),
  ),
  /** Why nothing is said about rooms; null when something is. */
  presenceMissing: z.string().nullable(),
});
