import { z } from 'zod';

const countSchema = z.number().int().nonnegative();

/** What a guard has done by the end of its life, or in the one pass of `--once`. */
export const dataSchema = z.object({
  /** Users removed from rooms or silenced in them. */
  ejected: countSchema,
  /** Attempts that did not succeed; each was or will be repeated. */
  failed: countSchema,
  /** Ejections that still wait in the outbox. */
  pending: countSchema,
  /** Comparisons of rooms with rows that were carried through. */
  passes: countSchema,
  /** Of the last one with `--once`; null otherwise. */
  pass: z.object({ rooms: countSchema, users: countSchema, offenders: countSchema }).nullable(),
  gate: z
    .object({ admitted: countSchema, refused: z.record(z.string(), countSchema), cut: countSchema })
    .nullable(),
  webhooks: z.record(z.string(), countSchema).nullable(),
  trips: countSchema.nullable(),
  /** What was wrong at the end; empty when nothing was. */
  alarms: z.array(z.string()),
});

export type GuardData = z.infer<typeof dataSchema>;
