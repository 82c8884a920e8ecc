import { z } from 'zod';

export const dataSchema = z.object({
  target: z.object({ name: z.string(), kind: z.enum(['embedded', 'supabase']) }),
  checks: z.array(
    z.object({
      id: z.string(),
      title: z.string(),
      status: z.enum(['ok', 'warn', 'fail', 'skip']),
      detail: z.string(),
      /** A command that can be run; null where nothing needs fixing. */
      fix: z.string().nullable(),
    }),
  ),
  /** Where each setting came from, as it may be shown; with --verbose. */
  settings: z.array(z.object({ setting: z.string(), shown: z.string(), origin: z.string() })).optional(),
});
