import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { nearest } from '../kernel/nearest.ts';
import { isIdentityOf, type Occupant } from '../target/livekit/admin.ts';
import { isTripwire } from './guard/tripwire-mark.ts';
import {
  findStreamSql,
  findUsersSql,
  guardsSeenSql,
  listSeatsSql,
  namesNearSql,
  streamsNearSql,
} from './seat-desk.sql.ts';
import { query, type SeatDesk } from './seat-desk.ts';

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
  /** `active`, `revoked` or `expired`; a seat past its time is `expired` even before anybody swept it. */
  readonly state: string | null;
  readonly grantedAt: string | null;
  readonly grantedBy: string | null;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly revokedBy: string | null;
  readonly reason: string | null;
  readonly ban: { readonly reason: string | null; readonly until: string | null } | null;
  /** When whoever watches the rooms (the guard) last saw them there. */
  readonly lastSeenAt: string | null;
  /** Rows of the outbox that are not done: an ejection that still has to happen. */
  readonly pendingEjections: number;
}

/** One session of a user in a room, under their id or an alias of it. */
export interface RoomSession {
  readonly identity: string;
  readonly canPublish: boolean;
  /** Tracks published now. */
  readonly tracks: number;
}

/** A guard that reported to the database. */
export interface GuardSeen {
  readonly id: string;
  readonly secondsAgo: number;
}

/** More rows than anybody reads; a bound all the same. */
const listLimit = 1_000;

/** Rooms looked into for one list: at 4–60 ms each (measured) this stays near a second. */
const presenceRoomsLimit = 20;

/** Names compared with a mistyped one: those of the stream come first, so the rest may be cut off. */
const namesLimit = 500;

/** A guard reports every few seconds; one that has not for so long is not there. */
const guardSilenceS = 30;

/** Whom a text meant: a user, or why nobody. */
export type UserLookup =
  | { readonly kind: 'user'; readonly user: UserRef }
  | { readonly kind: 'unknown'; readonly why: string; readonly near: string | undefined }
  | { readonly kind: 'several'; readonly why: string };

/**
 * Finds a user by id or username. A username in other letters will do when it is the only one.
 * @param streamId where to look first for the name that was meant
 * @throws TF-SEAT-002 unknown, with the nearest name; TF-SEAT-007 when several are meant
 */
export async function findUser(desk: SeatDesk, word: string, streamId?: string): Promise<UserRef> {
  const found = (await findUsers(desk, [word], streamId)).get(word);
  if (found === undefined) throw new Error('a lookup gave no answer');
  if (found.kind === 'user') return found.user;
  if (found.kind === 'several') throw new TrollfixError('TF-SEAT-007', found.why);
  throw new TrollfixError('TF-SEAT-002', found.why, {
    ...(found.near === undefined ? {} : { hint: `did you mean \`${found.near}\`?` }),
  });
}

/** The same for many, in one look; what is no user comes back with the reason instead of being thrown. */
export async function findUsers(
  desk: SeatDesk,
  words: readonly string[],
  streamId?: string,
): Promise<Map<string, UserLookup>> {
  const rows = await query<FoundUserRow>(desk, findUsersSql, [[...new Set(words)]]);
  const byWord = Map.groupBy(rows, ({ word }) => word);
  const lookups = new Map<string, UserLookup>();
  for (const word of new Set(words)) {
    const candidates = byWord.get(word) ?? [];
    const lookup =
      candidates.length > 0 ? lookupOf(word, candidates) : await unknownUser(desk, word, streamId);
    lookups.set(word, lookup);
  }
  return lookups;
}

function lookupOf(word: string, candidates: readonly FoundUserRow[]): UserLookup {
  const only = candidates.length === 1 ? candidates[0] : undefined;
  const meant = candidates.find(({ by_id }) => by_id) ?? candidates.find(({ exact }) => exact) ?? only;
  if (meant !== undefined) {
    const { id, username, display_name: displayName } = meant;
    return { kind: 'user', user: { id, username, displayName } };
  }
  const names = candidates.map(({ username, id }) => `${username} (${id})`).join(', ');
  return { kind: 'several', why: `several users are called "${word}": ${names}` };
}

async function unknownUser(desk: SeatDesk, word: string, streamId?: string): Promise<UserLookup> {
  const rows = await query<{ username: string }>(desk, namesNearSql, [
    streamId ?? null,
    word.slice(0, 2),
    namesLimit,
  ]);
  const names = rows.map(({ username }) => username);
  return { kind: 'unknown', why: `no user "${word}"`, near: nearest(word, names) };
}

/** @throws TF-SEAT-001 with the streams that begin like it or are called so */
export async function findStream(desk: SeatDesk, streamId: string): Promise<StreamRef> {
  const rows = await query<StreamRef>(desk, findStreamSql, [streamId]);
  const [stream] = rows;
  if (stream !== undefined) return stream;
  const near = await query<{ id: string; title: string | null }>(desk, streamsNearSql, [streamId, 3]);
  const named = near.map(({ id, title }) => (title === null ? id : `${id} ("${title}")`));
  throw new TrollfixError('TF-SEAT-001', `no stream "${streamId}"`, {
    ...(named.length === 0 ? {} : { hint: `a stream is named by its id: ${named.join(', ')}` }),
  });
}

/** Seats and bans, of one stream or all, at most 1,000. */
export async function listSeats(
  desk: SeatDesk,
  filter: { readonly streamId?: string; readonly userIds?: readonly string[] } = {},
): Promise<SeatRow[]> {
  const rows = await query<SeatListRow>(desk, listSeatsSql, [
    filter.streamId ?? null,
    filter.userIds ?? null,
    listLimit,
  ]);
  return rows.map(seatOf);
}

/**
 * The sessions that LiveKit lists for these users in these rooms now.
 * @returns by `<stream>/<user>`; or why rooms could not be looked into
 */
export async function roomSessions(
  desk: SeatDesk,
  pairs: ReadonlyArray<{ readonly streamId: string; readonly userId: string }>,
): Promise<ReadonlyMap<string, readonly RoomSession[]> | string> {
  if (desk.livekit === null) return 'the target has no LiveKit';
  const sessions = new Map<string, RoomSession[]>();
  const rooms = [...Map.groupBy(pairs, ({ streamId }) => streamId)].slice(0, presenceRoomsLimit);
  try {
    for (const [room, members] of rooms) {
      const occupants = await desk.livekit.occupants(room);
      for (const { userId } of members) sessions.set(`${room}/${userId}`, sessionsOf(occupants, userId));
    }
  } catch (error) {
    if (error instanceof TrollfixError) return messageOf(error);
    throw error;
  }
  return sessions;
}

function sessionsOf(occupants: readonly Occupant[], userId: string): RoomSession[] {
  return occupants
    .filter((occupant) => isIdentityOf(occupant.identity, userId) && !isTripwire(occupant))
    .map(({ identity, canPublish, tracks }) => ({ identity, canPublish, tracks }));
}

/** Guards that run on this database by their own word; empty says that nobody carries out what waits in the outbox. */
export async function guardsSeen(desk: SeatDesk): Promise<GuardSeen[]> {
  const rows = await query<{ id: string; seen_s: number }>(desk, guardsSeenSql, [guardSilenceS]);
  return rows.map(({ id, seen_s }) => ({ id, secondsAgo: seen_s }));
}

interface FoundUserRow {
  readonly word: string;
  readonly id: string;
  readonly username: string;
  readonly display_name: string | null;
  readonly by_id: boolean;
  readonly exact: boolean;
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
  readonly last_seen_at: Date | null;
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
    lastSeenAt: isoOf(row.last_seen_at),
    pendingEjections: row.pending_ejections,
  };
}

function isoOf(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
