import { z } from 'zod';

export const dataSchema = z.object({
  exitCodes: z.array(z.object({ code: z.number(), meaning: z.string() })),
});
