import { z } from 'zod';

const scheduleSchema = z.looseObject({
  kind: z.enum(['pg_cron', 'settler', 'unknown']),
  schedule: z.string().optional(),
  command: z.string().optional(),
  changed: z.boolean().optional(),
  reason: z.string().optional(),
  /** What is particular about the schedule. */
  note: z.string().optional(),
});

const driftSchema = z.object({
  kind: z.string(),
  identity: z.string(),
  problem: z.enum(['pending', 'edited', 'unknown', 'missing', 'changed', 'unexpected', 'wrong']),
  detail: z.string(),
});

export const dataSchema = z.discriminatedUnion('mode', [
  z.object({
    mode: z.enum(['apply', 'dry-run']),
    applied: z.array(z.string()),
    pending: z.array(z.string()),
    schedule: scheduleSchema,
    /** Tables that were added to the publication. */
    publication: z.array(z.string()),
    problems: z.array(z.object({ part: z.string(), sqlstate: z.string(), message: z.string() })),
    sql: z.string().optional(),
  }),
  z.object({
    mode: z.literal('check'),
    drift: z.array(driftSchema),
    objectsChecked: z.number(),
    migrationsApplied: z.number(),
  }),
  z.object({
    mode: z.literal('export'),
    folder: z.string(),
    written: z.array(z.string()),
    unchanged: z.array(z.string()),
    edgeFunction: z.object({
      folder: z.string(),
      written: z.array(z.string()),
      unchanged: z.array(z.string()),
    }),
    config: z.object({
      file: z.string(),
      state: z.enum(['written', 'present', 'needs_entry']),
      entry: z.string(),
    }),
  }),
]);
