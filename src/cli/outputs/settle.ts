import { z } from 'zod';

export const dataSchema = z.object({
  runs: z.number(),
  claimed: z.number(),
  settled: z.number(),
  failed: z.number(),
  /** After the last run; null when there was none. */
  backlog: z.number().nullable(),
  /** Connections lost or refused while it watched. */
  disconnects: z.number(),
});
