import { z } from 'zod';

export const verdicts = ['pass', 'fail', 'unknown', 'invalid', 'not_run'] as const;

export const evidenceSchema = z.object({ path: z.string(), sha256: z.string() });

export const invariantSchema = z.object({
  name: z.string(),
  /** How many things were looked at; an invariant that looked at nothing proves nothing. */
  checked: z.number(),
  violations: z.number(),
  details: z.array(z.string()),
});

export const matrixRowSchema = z.object({
  id: z.string(),
  scenario: z.string(),
  expected: z.string(),
  observed: z.string(),
  remediation: z.string(),
  verdict: z.enum(verdicts),
  fault: z
    .object({
      kind: z.string(),
      target: z.string(),
      params: z.record(z.string(), z.unknown()),
      injectedAt: z.string(),
      effectiveAt: z.string().nullable(),
      clearedAt: z.string().nullable(),
    })
    .nullable(),
  load: z.object({ offered: z.number(), achieved: z.number(), samples: z.number() }),
  steadyState: z.object({ before: z.unknown(), during: z.unknown(), after: z.unknown() }),
  detectionMs: z.number().nullable(),
  recoveryMs: z.number().nullable(),
  invariants: z.array(invariantSchema),
  repetitions: z.number(),
  evidence: z.array(evidenceSchema),
  /** Why the verdict is unknown, invalid or not_run. */
  reason: z.string().optional(),
  details: z.record(z.string(), z.unknown()),
});

export type Verdict = (typeof verdicts)[number];
export type Invariant = z.infer<typeof invariantSchema>;
export type MatrixRow = z.infer<typeof matrixRowSchema>;
