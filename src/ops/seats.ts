import type pg from 'pg';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { databaseError } from '../target/postgres/pool.ts';
import { type EjectionOutcome, type Evictee, ejectFromRoom, problemOf } from './ejection.ts';
import {
  completeEjectionsSql,
  downgradeSeatSql,
  extendSeatSql,
  grantSeatSql,
  restoreSeatSql,
  revokeSeatsSql,
} from './seat-desk.sql.ts';
import { query, type SeatDesk } from './seat-desk.ts';
import { listSeats, type SeatRow } from './seat-lookup.ts';

/** Whose seat, and where. */
interface SeatKey {
  readonly streamId: string;
  readonly userId: string;
}

/** What became of a decision in LiveKit; milliseconds from the start of the command. */
export interface Enforcement {
  readonly ejectionId: string | null;
  /** LiveKit had confirmed every call; null while it is pending. */
  readonly confirmedMs: number | null;
  /** The room was listed and it was so; null while it is pending. */
  readonly cleanMs: number | null;
  readonly ejection: /** `removed`: the identities that were taken out, or with a downgrade silenced, from here. */
    | { readonly status: 'done'; readonly removed: readonly string[] }
    /** LiveKit could not be asked, or there is none: the outbox keeps the ejection for the guard. */
    | { readonly status: 'pending'; readonly why: string }
    /** Removed again and again, and back each time. */
    | { readonly status: 'returns'; readonly stillThere: readonly string[] };
  /** Why the outbox could not be told; a guard then does the same once more. null: it was told. */
  readonly outboxProblem: string | null;
}

/** What a revocation did, step by step; milliseconds from its start. */
export interface Revocation extends Enforcement {
  readonly banId: string | null;
  readonly revokedAt: string;
  readonly until: string | null;
  /** The rows were committed: from here on the ban holds, whatever happens to LiveKit. */
  readonly durableMs: number;
}

export interface Downgrade extends Enforcement {
  /** False when the seat could not publish before either. */
  readonly changed: boolean;
  readonly durableMs: number;
}

/** @throws TF-SEAT-004 while the user is banned there, or the stream has ended; TF-SEAT-006 */
export async function grantSeat(
  desk: SeatDesk,
  seat: SeatKey & {
    readonly role: string;
    readonly canPublish: boolean;
    readonly expiresAt: Date | null;
    readonly reason: string | null;
  },
): Promise<SeatRow> {
  const { streamId, userId, role, canPublish, expiresAt, reason } = seat;
  await query(desk, grantSeatSql, [streamId, userId, role, canPublish, expiresAt, desk.actor, reason]);
  return oneSeat(desk, seat);
}

/**
 * Lets a seat last until `until` (null: until revoked).
 * @throws TF-SEAT-003 no seat; TF-SEAT-004 lost or over; TF-SEAT-006 when that would shorten it
 */
export async function extendSeat(
  desk: SeatDesk,
  seat: SeatKey & { readonly until: Date | null; readonly reason: string | null },
): Promise<SeatRow> {
  const { streamId, userId, until, reason } = seat;
  await query(desk, extendSeatSql, [streamId, userId, until, desk.actor, reason]);
  return oneSeat(desk, seat);
}

/**
 * Takes the right to publish from a seat, in its row and then in the room. The row comes first and stands alone, as
 * with a revocation.
 * @throws TF-SEAT-003 no seat; TF-SEAT-004 lost or over
 */
export async function downgradeSeat(
  desk: SeatDesk,
  seat: SeatKey & { readonly reason: string | null },
): Promise<{ readonly downgrade: Downgrade; readonly seat: SeatRow }> {
  const startedAtMs = desk.clock.monotonicMs();
  const [row] = await query<{ downgraded: { changed: boolean; ejection_id: number | string } }>(
    desk,
    downgradeSeatSql,
    [seat.streamId, seat.userId, desk.actor, seat.reason],
  );
  if (row === undefined) throw new Error('downgrade_seat gave no row');
  const { changed, ejection_id } = row.downgraded;
  const durableMs = desk.clock.monotonicMs() - startedAtMs;
  const evictee: Evictee = { userId: seat.userId, mayWatch: true, measure: 'silence' };
  const entry = { ejectionId: String(ejection_id), evictee };
  const enforced = await enforce(desk, seat.streamId, [entry], startedAtMs);
  const downgrade = { changed, durableMs, ...enforcementOf(enforced, seat.userId) };
  return { downgrade, seat: await oneSeat(desk, seat) };
}

/**
 * Bans a user from a stream and takes them out of its room. The rows come first and stand alone: when LiveKit
 * cannot be reached the ban holds all the same, and the ejection stays in the outbox for the guard.
 */
export async function revokeSeat(
  desk: SeatDesk,
  seat: SeatKey & { readonly reason: string; readonly until: Date | null },
): Promise<Revocation> {
  const revocations = await revokeSeats(desk, { ...seat, userIds: [seat.userId] });
  const revocation = revocations.get(seat.userId);
  if (revocation === undefined) throw new Error('revoke_seats gave no row');
  return revocation;
}

/**
 * The same for many on one stream, banned in one commit: all of them or none.
 * @param seats.userIds at most 1,000
 * @returns by user id
 */
export async function revokeSeats(
  desk: SeatDesk,
  seats: {
    readonly streamId: string;
    readonly userIds: readonly string[];
    readonly reason: string;
    readonly until: Date | null;
  },
): Promise<Map<string, Revocation>> {
  const { streamId, userIds, reason, until } = seats;
  const startedAtMs = desk.clock.monotonicMs();
  const asked = userIds.map((userId) => ({ stream_id: streamId, user_id: userId, reason, until }));
  const rows = await query<RevokedRow>(desk, revokeSeatsSql, [JSON.stringify(asked), desk.actor]);
  const durableMs = desk.clock.monotonicMs() - startedAtMs;
  const entries = rows.map(({ user_id: userId, revocation }) => ({
    ejectionId: revocation.ejection_id === null ? null : String(revocation.ejection_id),
    evictee: { userId, mayWatch: false },
  }));
  const enforced = await enforce(desk, streamId, entries, startedAtMs);
  return new Map(
    rows.map(({ user_id: userId, revocation: row }) => {
      const rest = enforcementOf(enforced, userId);
      const banUntil = row.until === null ? null : new Date(row.until).toISOString();
      const revokedAt = new Date(row.revoked_at).toISOString();
      return [userId, { banId: row.ban_id, revokedAt, until: banUntil, durableMs, ...rest }];
    }),
  );
}

/** Lifts the bans of a user on a stream; a seat that was revoked and has not run out is active again. */
export async function restoreSeat(
  desk: SeatDesk,
  seat: SeatKey & { readonly reason: string | null },
): Promise<{
  readonly restored: { readonly bansLifted: number; readonly seatActive: boolean };
  readonly seat: SeatRow | null;
}> {
  const [row] = await query<{ restored: { bans_lifted: number; restored: boolean } }>(desk, restoreSeatSql, [
    seat.streamId,
    seat.userId,
    desk.actor,
    seat.reason,
  ]);
  if (row === undefined) throw new Error('restore_seat gave no row');
  const [now] = await listSeats(desk, { streamId: seat.streamId, userIds: [seat.userId] });
  return {
    restored: { bansLifted: row.restored.bans_lifted, seatActive: row.restored.restored },
    seat: now ?? null,
  };
}

/** Writes into the outbox what became of ejections: done, or the error each waits with. @throws TF-DB-* */
async function settleEjections(
  database: pg.Pool,
  settled: ReadonlyArray<{ readonly ejectionId: string; readonly error: string | null }>,
): Promise<void> {
  try {
    await database.query(completeEjectionsSql, [
      settled.map(({ ejectionId }) => ejectionId),
      settled.map(({ error }) => error),
    ]);
  } catch (error) {
    throw databaseError(error);
  }
}

interface OutboxEntry {
  readonly ejectionId: string | null;
  readonly evictee: Evictee;
}

/** Carries decisions that are durable already out in one room, and tells the outbox. Never fails for either of them. */
async function enforce(
  desk: SeatDesk,
  room: string,
  entries: readonly OutboxEntry[],
  startedAtMs: number,
): Promise<ReadonlyMap<string, Enforcement>> {
  const evictees = entries.map(({ evictee }) => evictee);
  // the room of a stream is called by its id
  const outcomes =
    desk.livekit === null
      ? new Map<string, EjectionOutcome>()
      : await ejectFromRoom(desk.livekit, room, evictees, desk);
  const settled = entries.flatMap(({ ejectionId, evictee }) =>
    ejectionId === null ? [] : [{ ejectionId, error: problemOf(outcomes.get(evictee.userId) ?? null) }],
  );
  const outboxProblem = await settleEjections(desk.database, settled).then(
    () => null,
    (error: unknown) => {
      // the decision stands and LiveKit was told: an outbox row that stays open only makes a guard look again
      if (error instanceof TrollfixError) return `${error.code}: ${messageOf(error)}`;
      throw error;
    },
  );
  return new Map(
    entries.map(({ ejectionId, evictee: { userId } }) => {
      const outcome = outcomes.get(userId) ?? null;
      const clean = outcome?.kind === 'clean' ? outcome : null;
      const enforcement: Enforcement = {
        ejectionId,
        confirmedMs: clean && clean.confirmedAtMs - startedAtMs,
        cleanMs: clean && clean.cleanAtMs - startedAtMs,
        ejection: ejectionOf(outcome),
        outboxProblem,
      };
      return [userId, enforcement];
    }),
  );
}

function enforcementOf(enforced: ReadonlyMap<string, Enforcement>, userId: string): Enforcement {
  const enforcement = enforced.get(userId);
  if (enforcement === undefined) throw new Error('a decision was not carried out');
  return enforcement;
}

function ejectionOf(outcome: EjectionOutcome | null): Enforcement['ejection'] {
  if (outcome?.kind === 'clean') return { status: 'done', removed: outcome.removed };
  if (outcome?.kind === 'returns') return { status: 'returns', stillThere: outcome.stillThere };
  return { status: 'pending', why: problemOf(outcome) ?? '' };
}

async function oneSeat(desk: SeatDesk, { streamId, userId }: SeatKey): Promise<SeatRow> {
  const [seat] = await listSeats(desk, { streamId, userIds: [userId] });
  if (seat === undefined) throw new TrollfixError('TF-SEAT-003', 'the seat is not there');
  return seat;
}

interface RevokedRow {
  readonly user_id: string;
  readonly revocation: {
    readonly ban_id: string | null;
    readonly ejection_id: string | number | null;
    readonly revoked_at: string;
    readonly until: string | null;
  };
}
