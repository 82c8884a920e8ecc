import { z } from 'zod';

export const dataSchema = z.object({
  algorithm: z.string(),
  signature: z.enum(['valid', 'invalid', 'not_checked']),
  issuer: z.string().nullable(),
  identity: z.string().nullable(),
  name: z.string().nullable(),
  room: z.string().nullable(),
  expiresAt: z.string().nullable(),
  notBefore: z.string().nullable(),
  lifetimeSeconds: z.number().nullable(),
  expired: z.boolean(),
  acceptedUntil: z.string().nullable(),
  grants: z.record(z.string(), z.unknown()),
  claims: z.record(z.string(), z.unknown()),
  permissions: z.array(z.object({ grant: z.string(), allowed: z.boolean(), stated: z.boolean() })),
  abilities: z.array(z.string()),
  findings: z.array(
    z.object({ level: z.enum(['danger', 'warning', 'note']), rule: z.string(), text: z.string() }),
  ),
  verdict: z.enum(['safe', 'questionable', 'dangerous']),
});
