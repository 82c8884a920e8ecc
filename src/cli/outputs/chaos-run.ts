import { z } from 'zod';
import { dataSchema as runSchema } from './run.ts';

/** `data` of `chaos run`: the run record, or with `--dry-run` what would be done and touched. */
export const dataSchema = z.union([
  runSchema,
  z.object({
    dryRun: z.literal(true),
    experiments: z.array(z.object({ id: z.string(), does: z.string(), touches: z.string() })),
  }),
]);
