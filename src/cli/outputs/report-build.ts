import { z } from 'zod';

export const dataSchema = z.object({
  runId: z.string(),
  folder: z.string(),
  written: z.array(z.object({ path: z.string(), kind: z.string(), sha256: z.string() })),
});
