import { z } from 'zod';
import { seatSchema } from './seat-row.ts';

export const dataSchema = z.object({
  seats: z.array(
    seatSchema.extend({
      // identities LiveKit lists for the user now, and the tracks they publish; null when it was not asked or did not answer
      inRoom: z.array(z.string()).nullable(),
      tracks: z.number().nullable(),
    }),
  ),
  /** Why nothing is said about rooms; null when something is. */
  presenceMissing: z.string().nullable(),
});
