import { z } from 'zod';

export const userSchema = z.object({
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
  /** When whoever watches the rooms (the guard) last saw them there. */
  lastSeenAt: z.string().nullable(),
  pendingEjections: z.number(),
});

/** Sessions of one user in a room, by id or alias; null when LiveKit did not say. */
export const inRoomSchema = z
  .array(z.object({ identity: z.string(), canPublish: z.boolean(), tracks: z.number() }))
  .nullable();

/** What became of a decision in LiveKit. Milliseconds count from the start of the command. */
export const enforcementSchema = z.object({
  ejectionId: z.string().nullable(),
  durableMs: z.number(),
  confirmedMs: z.number().nullable(),
  cleanMs: z.number().nullable(),
  ejection: z.discriminatedUnion('status', [
    z.object({ status: z.literal('done'), removed: z.array(z.string()) }),
    z.object({ status: z.literal('pending'), why: z.string() }),
    z.object({ status: z.literal('returns'), stillThere: z.array(z.string()) }),
  ]),
  /** Why the outbox could not be told; null when it was. */
  outboxProblem: z.string().nullable(),
});

/** Guards that were heard of, when something is left to them. */
export const guardsSchema = z.array(z.object({ id: z.string(), secondsAgo: z.number() }));

/** What every command that changes a seat says first. */
export const seatChangeSchema = z.object({
  dryRun: z.boolean(),
  user: userSchema,
  stream: streamSchema,
  /** The seat or ban before; null when there was neither. */
  before: seatSchema.nullable(),
});
