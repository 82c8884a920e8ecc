import { z } from 'zod';

const entry = z.enum(['gate', 'livekit']);
const situation = z.enum(['banned', 'downgraded', 'expired']);
const credential = z.enum(['original', 'refreshed', 'alias', 'new']);

const summarySchema = z.object({
  tried: z.number(),
  /** Let somebody in, for however long, or said they would. */
  open: z.number(),
  shut: z.number(),
  unknown: z.number(),
  noDoor: z.number(),
});

const attemptSchema = {
  said: z.string(),
  /** Identities that LiveKit's list showed right after, doing what they may not. */
  witnessed: z.array(z.string()),
  /** From being let in to being out, when somebody else ended it. */
  dwellMs: z.number().nullable(),
  refreshTokenHarvested: z.boolean(),
};

export const dataSchema = z.object({
  /** null: a synthetic one. */
  stream: z.object({ id: z.string(), title: z.string().nullable(), status: z.string() }).nullable(),
  /** Of the entry that clients are given: exit code 0, 96, 99 and 98. */
  verdict: z.enum(['held', 'stays_in', 'open', 'unknown']),
  entry,
  urls: z.object({ gate: z.string().nullable(), livekit: z.string() }),
  entries: z.object({ gate: summarySchema.nullable(), livekit: summarySchema.nullable() }),
  bannedInside: z.number(),
  /** Users with a downgraded or expired seat whose session went on publishing. */
  stillPublishing: z.number(),
  /** Doors that let a seat's holder into LiveKit itself and not through the gate, and sessions of holders that were ended. */
  holdersRefused: z.array(z.string()),
  holdersTurnedAwayAtFirst: z.number(),
  tokensForBanned: z.number(),
  /** False with --quick. */
  pastLeeway: z.boolean(),
  unclear: z.array(z.string()),
  sessions: z.array(
    z.object({
      entry,
      situation,
      verdict: z.enum(['CLOSED', 'OPEN', 'UNKNOWN']),
      victims: z.number(),
      stayed: z.number(),
      endedMs: z.number().nullable(),
      said: z.string(),
    }),
  ),
  ways: z.array(
    z.object({
      entry,
      situation,
      credential,
      door: z.string(),
      verdict: z.enum(['CLOSED', 'WINDOW', 'OPEN', 'UNKNOWN', 'NO_DOOR']),
      attempts: z.number(),
      open: z.number(),
      dwellMs: z.number().nullable(),
      said: z.record(z.string(), z.number()),
      control: z.string(),
      refreshTokensHarvested: z.number(),
    }),
  ),
  samples: z.array(
    z.object({
      entry,
      situation,
      credential,
      door: z.string(),
      title: z.string(),
      user: z.string(),
      verdict: z.enum(['CLOSED', 'WINDOW', 'OPEN', 'UNKNOWN']),
      ...attemptSchema,
    }),
  ),
});
