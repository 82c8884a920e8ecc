import type pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { isIdentityOf, type LiveKitAdmin } from '../target/livekit/admin.ts';
import { databaseError, sqlStateOf } from '../target/postgres/pool.ts';
import { type EjectionOutcome, ejectFromRoom } from './ejection.ts';
import {
  completeEjectionSql,
  findStreamSql,
  findUserSql,
  grantSeatSql,
  listSeatsSql,
  restoreSeatSql,
  revokeSeatSql,
} from './seats.sql.ts';

/** A person or daemon at work on seats: what they act through and who they are in the audit trail. */
export interface SeatDesk {
  readonly database: pg.Pool;
  /** null where the target has no LiveKit: rows change, nobody is ejected from here. */
  readonly livekit: LiveKitAdmin | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly actor: string;
}

export interface UserRef {
  readonly id: string;
  readonly username: string;
  readonly displayName: string | null;
}

export interface StreamRef {
  readonly id: string;
  readonly title: string | null;
  readonly status: string;
}

/** A seat, or a ban of somebody who never had one (`state` null). Times are ISO 8601. */
export interface SeatRow {
  readonly streamId: string;
  readonly userId: string;
  readonly username: string | null;
  readonly displayName: string | null;
  readonly role: string | null;
  readonly canPublish: boolean | null;
  readonly state: string | null;
  readonly grantedAt: string | null;
  readonly grantedBy: string | null;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly revokedBy: string | null;
  readonly reason: string | null;
  readonly ban: { readonly reason: string | null; readonly until: string | null } | null;
  /** Rows of the outbox that are not done: an ejection that still has to happen. */
  readonly pendingEjections: number;
}

/** What a revocation did, step by step; milliseconds from its start. */
export interface Revocation {
  readonly banId: string | null;
  readonly ejectionId: string | null;
  readonly revokedAt: string;
  readonly until: string | null;
  /** The rows were committed: from here on the ban holds, whatever happens to LiveKit. */
  readonly durableMs: number;
  /** LiveKit had confirmed every removal; null while the ejection is pending. */
  readonly confirmedMs: number | null;
  /** The room was listed without the user; null while the ejection is pending. */
  readonly cleanMs: number | null;
  readonly ejection:
    | { readonly status: 'done'; readonly removed: readonly string[] }
    /** LiveKit could not be asked, or there is none: the outbox keeps the ejection for the enforcer. */
    | { readonly status: 'pending'; readonly why: string }
    /** Removed again and again, and back each time. */
    | { readonly status: 'returns'; readonly stillThere: readonly string[] };
}

/** More rows than anybody reads; a bound all the same. */
const listLimit = 1_000;

/** Rooms looked into for one list: at 4–60 ms each (measured) this stays near a second. */
const presenceRoomsLimit = 20;

/**
 * Finds a user by id or username.
 * @throws TF-SEAT-002
 */
export async function findUser(desk: SeatDesk, idOrUsername: string): Promise<UserRef> {
  const rows = await query<{ id: string; username: string; display_name: string | null }>(desk, findUserSql, [
    idOrUsername,
  ]);
  const [user] = rows;
  if (user === undefined) throw new TrollfixError('TF-SEAT-002', `no user "${idOrUsername}"`);
  return { id: user.id, username: user.username, displayName: user.display_name };
}

/** @throws TF-SEAT-001 */
export async function findStream(desk: SeatDesk, streamId: string): Promise<StreamRef> {
  const rows = await query<{ id: string; title: string | null; status: string }>(desk, findStreamSql, [
    streamId,
  ]);
  const [stream] = rows;
  if (stream === undefined) throw new TrollfixError('TF-SEAT-001', `no stream "${streamId}"`);
  return { id: stream.id, title: stream.title, status: stream.status };
}

/** Seats and bans, of one stream or all, at most 1,000. */
export async function listSeats(
  desk: SeatDesk,
  filter: { readonly streamId?: string; readonly userId?: string } = {},
): Promise<SeatRow[]> {
  const rows = await query<SeatListRow>(desk, listSeatsSql, [
    filter.streamId ?? null,
    filter.userId ?? null,
    listLimit,
  ]);
  return rows.map(seatOf);
}

/**
 * Which of these users LiveKit lists in their rooms now, by every identity of theirs.
 * @throws TF-LK-* ; TF-CFG-005 when the target has no LiveKit
 */
export async function roomPresence(
  desk: SeatDesk,
  rows: readonly SeatRow[],
): Promise<Map<SeatRow, string[]>> {
  if (desk.livekit === null) throw new TrollfixError('TF-CFG-005', 'the target has no LiveKit');
  const presence = new Map<SeatRow, string[]>();
  const rooms = [...Map.groupBy(rows, ({ streamId }) => streamId)].slice(0, presenceRoomsLimit);
  for (const [room, seats] of rooms) {
    const occupants = await desk.livekit.occupants(room);
    for (const seat of seats) {
      const here = occupants.filter(({ identity }) => isIdentityOf(identity, seat.userId));
      presence.set(
        seat,
        here.map(({ identity }) => identity),
      );
    }
  }
  return presence;
}

/** @throws TF-SEAT-004 while the user is banned there, or the stream has ended */
export async function grantSeat(
  desk: SeatDesk,
  seat: {
    readonly streamId: string;
    readonly userId: string;
    readonly role: string;
    readonly canPublish: boolean;
    readonly expiresAt: Date | null;
    readonly reason: string | null;
  },
): Promise<SeatRow> {
  const { streamId, userId } = seat;
  await query(desk, grantSeatSql, [
    streamId,
    userId,
    seat.role,
    seat.canPublish,
    seat.expiresAt,
    desk.actor,
    seat.reason,
  ]);
  return oneSeat(desk, streamId, userId);
}

/**
 * Bans a user from a stream and takes them out of its room. The rows come first and stand alone: when LiveKit
 * cannot be reached the ban holds all the same, and the ejection stays in the outbox for the enforcer.
 */
export async function revokeSeat(
  desk: SeatDesk,
  seat: {
    readonly streamId: string;
    readonly userId: string;
    readonly reason: string;
    readonly until: Date | null;
  },
): Promise<Revocation> {
  const startedAtMs = desk.clock.monotonicMs();
  const [row] = await query<{ revoked: RevokedJson }>(desk, revokeSeatSql, [
    seat.streamId,
    seat.userId,
    seat.reason,
    seat.until,
    desk.actor,
  ]);
  if (row === undefined) throw new Error('revoke_seat gave no row');
  const { revoked } = row;
  const durableMs = desk.clock.monotonicMs() - startedAtMs;
  const ejectionId = revoked.ejection_id === null ? null : String(revoked.ejection_id);
  const outcome = await eject(desk, seat);
  if (ejectionId !== null) await settleEjection(desk.database, ejectionId, outcome);
  const clean = outcome?.kind === 'clean' ? outcome : null;
  return {
    banId: revoked.ban_id,
    ejectionId,
    revokedAt: new Date(revoked.revoked_at).toISOString(),
    until: revoked.until === null ? null : new Date(revoked.until).toISOString(),
    durableMs,
    confirmedMs: clean && clean.confirmedAtMs - startedAtMs,
    cleanMs: clean && clean.cleanAtMs - startedAtMs,
    ejection: ejectionOf(outcome),
  };
}

/** Lifts the bans of a user on a stream; a seat that was revoked and has not run out is active again. */
export async function restoreSeat(
  desk: SeatDesk,
  seat: { readonly streamId: string; readonly userId: string; readonly reason: string | null },
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
  const [now] = await listSeats(desk, { streamId: seat.streamId, userId: seat.userId });
  return {
    restored: { bansLifted: row.restored.bans_lifted, seatActive: row.restored.restored },
    seat: now ?? null,
  };
}

/** Writes into the outbox what became of an ejection: done, or the error it waits with. */
export async function settleEjection(
  database: pg.Pool,
  ejectionId: string,
  outcome: EjectionOutcome | null,
): Promise<void> {
  const error = outcome?.kind === 'clean' ? null : whyPending(outcome);
  await database.query(completeEjectionSql, [ejectionId, error]);
}

function ejectionOf(outcome: EjectionOutcome | null): Revocation['ejection'] {
  if (outcome?.kind === 'clean') return { status: 'done', removed: outcome.removed };
  if (outcome?.kind === 'returns') return { status: 'returns', stillThere: outcome.stillThere };
  return { status: 'pending', why: whyPending(outcome) };
}

function whyPending(outcome: EjectionOutcome | null): string {
  if (outcome?.kind === 'failed') return `LiveKit: ${outcome.failure.kind}: ${outcome.failure.message}`;
  if (outcome?.kind === 'returns') return `comes back: ${outcome.stillThere.join(', ')}`;
  return 'the target has no LiveKit';
}

async function eject(
  desk: SeatDesk,
  seat: { readonly streamId: string; readonly userId: string },
): Promise<EjectionOutcome | null> {
  if (desk.livekit === null) return null;
  // the room of a stream is called by its id
  const evictee = { userId: seat.userId, mayWatch: false };
  const outcomes = await ejectFromRoom(desk.livekit, seat.streamId, [evictee], desk);
  return outcomes.get(seat.userId) ?? null;
}

async function oneSeat(desk: SeatDesk, streamId: string, userId: string): Promise<SeatRow> {
  const [seat] = await listSeats(desk, { streamId, userId });
  if (seat === undefined) throw new TrollfixError('TF-SEAT-003', 'the seat is not there');
  return seat;
}

interface RevokedJson {
  readonly ban_id: string | null;
  readonly ejection_id: string | number | null;
  readonly revoked_at: string;
  readonly until: string | null;
}

interface SeatListRow {
  readonly stream_id: string;
  readonly user_id: string;
  readonly username: string | null;
  readonly display_name: string | null;
  readonly role: string | null;
  readonly can_publish: boolean | null;
  readonly state: string | null;
  readonly granted_at: Date | null;
  readonly granted_by: string | null;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly revoked_by: string | null;
  readonly reason: string | null;
  readonly banned: boolean;
  readonly ban_reason: string | null;
  readonly ban_until: Date | null;
  readonly pending_ejections: number;
}

function seatOf(row: SeatListRow): SeatRow {
  return {
    streamId: row.stream_id,
    userId: row.user_id,
    username: row.username,
    displayName: row.display_name,
    role: row.role,
    canPublish: row.can_publish,
    state: row.state,
    grantedAt: isoOf(row.granted_at),
    grantedBy: row.granted_by,
    expiresAt: isoOf(row.expires_at),
    revokedAt: isoOf(row.revoked_at),
    revokedBy: row.revoked_by,
    reason: row.reason,
    ban: row.banned ? { reason: row.ban_reason, until: isoOf(row.ban_until) } : null,
    pendingEjections: row.pending_ejections,
  };
}

function isoOf(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}

/** @throws TF-DB-*; TF-SEAT-004 for the refusal of `grant_seat` */
async function query<Row extends pg.QueryResultRow>(
  desk: SeatDesk,
  sql: string,
  values: readonly unknown[],
): Promise<Row[]> {
  desk.signal.throwIfAborted();
  try {
    const result = await desk.database.query<Row>(sql, [...values]);
    return result.rows;
  } catch (error) {
    // banned, or the stream has ended: the database says which
    if (sqlStateOf(error) === 'PT409')
      throw new TrollfixError('TF-SEAT-004', messageOf(error), { cause: error });
    throw databaseError(error);
  }
}
