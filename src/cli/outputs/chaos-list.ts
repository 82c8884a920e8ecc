import { z } from 'zod';

export const dataSchema = z.object({
  experiments: z.array(
    z.object({
      id: z.string(),
      scenario: z.string(),
      expected: z.string(),
      does: z.string(),
      touches: z.string(),
      needs: z.array(z.string()),
      remediation: z.string(),
    }),
  ),
});
