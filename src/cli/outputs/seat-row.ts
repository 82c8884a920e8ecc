import { z } from 'zod';

const userSchema = z.object({
  id: z.string(),
  username: z.string(),
  displayName: z.string().nullable(),
});
const streamSchema = z.object({ id: z.string(), title: z.string().nullable(), status: z.string() });

/** A seat, or a ban of somebody who never had one (`state` null). Times are ISO 8601. */
export const seatSchema = z.object({
  streamId: z.string(),
  userId: z.string(),
  username: z.string().nullable(),
  displayName: z.string().nullable(),
  role: z.string().nullable(),
  canPublish: z.boolean().nullable(),
  state: z.string().nullable(),
  grantedAt: z.string().nullable(),
  grantedBy: z.string().nullable(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  revokedBy: z.string().nullable(),
  reason: z.string().nullable(),
  ban: z.object({ reason: z.string().nullable(), until: z.string().nullable() }).nullable(),
  pendingEjections: z.number(),
});

/** What every command that changes a seat says first. */
export const seatChangeSchema = z.object({
  dryRun: z.boolean(),
  user: userSchema,
  stream: streamSchema,
  /** The seat or ban before; null when there was neither. */
  before: seatSchema.nullable(),
});
