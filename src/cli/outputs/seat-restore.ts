import { z } from 'zod';
import { seatChangeSchema, seatSchema } from './seat-row.ts';

export const dataSchema = seatChangeSchema.extend({
  /** null with --dry-run. */
  restored: z.object({ bansLifted: z.number(), seatActive: z.boolean() }).nullable(),
  /** The seat after; null when there is none. */
  seat: seatSchema.nullable(),
});
