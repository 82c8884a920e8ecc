import { z } from 'zod';

export const dataSchema = z.object({
  rounds: z.number(),
  claimed: z.number(),
  settled: z.number(),
  failed: z.number(),
  coinsMoved: z.number(),
  /** Pending afterwards. */
  backlog: z.number(),
  elapsedMs: z.number(),
  /** Gifts decided per second. */
  perS: z.number(),
  stoppedBy: z.enum(['empty', 'time', 'interrupted', 'taken over']),
});
