import { z } from 'zod';

const verdictSchema = z.enum(['held', 'breached', 'inconclusive']);

export const dataSchema = z.object({
  endpoint: z.string(),
  /** `target`: synthetic users of the target asked; `session`: the user whose session was given; `nobody`: no session. */
  asked: z.enum(['target', 'session', 'nobody']),
  verdict: verdictSchema,
  held: z.number(),
  breached: z.number(),
  inconclusive: z.number(),
  cases: z.array(
    z.object({
      group: z.string(),
      name: z.string(),
      verdict: verdictSchema,
      /** Status and words; null when it was not asked. */
      answer: z.string().nullable(),
      why: z.array(z.string()),
      /** What the token that came back says; the token itself is not kept. */
      claims: z
        .object({
          identity: z.string().nullable(),
          room: z.string().nullable(),
          lifetimeSeconds: z.number().nullable(),
          grants: z.record(z.string(), z.unknown()),
          otherClaims: z.array(z.string()),
        })
        .nullable(),
    }),
  ),
});
