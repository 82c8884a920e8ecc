import { z } from 'zod';

/** `error` of every document that says `ok: false`. */
const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  why: z.string().optional(),
  hint: z.string(),
  docs: z.string(),
  log: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
  stack: z.string().optional(),
});

/** The one document of `--json`; `data` is null where a failure left none. */
export function documentSchema(kind: string, data: z.ZodType): z.ZodType {
  return z.object({
    schema: z.literal(`trollfix.${kind}/v1`),
    ok: z.boolean(),
    data,
    error: errorSchema.optional(),
  });
}

/**
 * A line of `--ndjson`. The last one has the type `result` and the document as its data; of a command that stays
 * (`logs --follow`) events follow it.
 */
export const eventSchema = z.object({
  schema: z.literal('trollfix.event/v1'),
  type: z.string(),
  at: z.string(),
  data: z.record(z.string(), z.unknown()),
});
