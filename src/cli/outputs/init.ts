import { z } from 'zod';

export const dataSchema = z.object({
  file: z.string(),
  target: z.string(),
  /** Environment variables the file refers to, and whether each is set now. */
  environment: z.array(z.object({ name: z.string(), setting: z.string(), set: z.boolean() })),
  checks: z.array(
    z.object({ id: z.string(), status: z.enum(['ok', 'warn', 'fail', 'skip']), detail: z.string() }),
  ),
});
