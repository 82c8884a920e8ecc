import { z } from 'zod';
import type { GuardedRoom, PendingEjection, SeatFact, SeatPair } from './guard-store.ts';

// Both stores ask the same functions of the database, which answer with one jsonb each: it is read here, once.

const pendingSchema = z.array(
  z.object({
    id: z.string(),
    stream_id: z.string(),
    user_id: z.string(),
    room: z.string(),
    cause: z.string(),
    created_at_ms: z.number(),
    banned: z.boolean(),
    may_publish: z.boolean(),
  }),
);

const roomsSchema = z.array(
  z.object({ room: z.string(), watched: z.boolean(), banned: z.array(z.string()) }),
);

const factsSchema = z.array(
  z.object({
    stream_id: z.string(),
    user_id: z.string(),
    ban: z.object({ until: z.string().nullable() }).nullable(),
    seat: z
      .object({ state: z.string(), can_publish: z.boolean(), expires_at: z.string().nullable() })
      .nullable(),
  }),
);

/** @throws ZodError when the database's functions are of another version */
export function pendingOf(answer: unknown): PendingEjection[] {
  return pendingSchema.parse(answer).map((row) => ({
    id: row.id,
    streamId: row.stream_id,
    userId: row.user_id,
    room: row.room,
    cause: row.cause,
    createdAtMs: row.created_at_ms,
    banned: row.banned,
    mayPublish: row.may_publish,
  }));
}

export function roomsOf(answer: unknown): GuardedRoom[] {
  return roomsSchema.parse(answer);
}

export function factsOf(answer: unknown): SeatFact[] {
  return factsSchema.parse(answer).map(({ stream_id, user_id, ban, seat }) => ({
    streamId: stream_id,
    userId: user_id,
    ban,
    seat: seat && { state: seat.state, canPublish: seat.can_publish, expiresAt: seat.expires_at },
  }));
}

/** The argument that names these pairs. */
export function pairsArgument(pairs: readonly SeatPair[]): Array<{ stream_id: string; user_id: string }> {
  return pairs.map(({ streamId, userId }) => ({ stream_id: streamId, user_id: userId }));
}
