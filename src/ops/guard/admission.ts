import { isObject } from '../../kernel/json-object.ts';
import type { AdmissionTable, Standing } from './seat-table.ts';

/** What somebody wants with their token: to come in (or do something inside), or to end their own session. */
type AdmissionPurpose = 'enter' | 'leave';

/** Why somebody is not let in: a stable name for metrics. */
export type RefusalReason =
  | 'no_token'
  | 'bad_token'
  | 'expired'
  | 'not_yet_valid'
  | 'no_join_grant'
  | 'not_a_user'
  | 'not_a_stream'
  | 'hostile_grant'
  | 'banned'
  | 'no_seat'
  | 'table_not_current';

export interface Refusal {
  readonly admit: false;
  /** As LiveKit answers in such a case: its clients stop at 401 and 403 and try again after 503. */
  readonly status: 400 | 401 | 403 | 503;
  readonly reason: RefusalReason;
  readonly message: string;
  /** Whom the token speaks of, once that is known. */
  readonly about?: { readonly streamId: string; readonly userId: string };
}

export interface Admission {
  readonly admit: true;
  /** The stream whose room is entered. */
  readonly streamId: string;
  /** The user, whatever alias they come under. */
  readonly userId: string;
  /** Whether the token lets its holder send media or data. */
  readonly publishes: boolean;
}

/** LiveKit takes exp and nbf this much too late or too early; a stricter gate would refuse whom it lets in. */
const leewaySeconds = 60;

/** As the token policy and the database write them: any other spelling is another identity to LiveKit. */
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** All that a viewer or a speaker needs. Any other grant that is set is more than the token policy ever gives. */
const harmlessGrants = new Set([
  'roomJoin',
  'room',
  'canPublish',
  'canPublishSources',
  'canPublishData',
  'canSubscribe',
  'canSubscribeMetrics',
]);

/** Claims beside the grants that LiveKit acts on and no token for a person has a use for. */
const hostileClaims = [
  'roomConfig',
  'roomPreset',
  'sip',
  'agent',
  'inference',
  'observability',
  'kindDetails',
] as const;

/**
 * Decides whether the holder of a token is let in. `claims` is the payload of a JWT whose signature, algorithm and
 * issuer were verified; everything else about it is judged here, by LiveKit's own reading of it: what is not set is
 * permission.
 *
 * @param input.nowMs by the database's clock, which the expiry of seats and bans is written in
 * @param input.failOpen while the table is not current: let in whoever is not known to be banned, instead of nobody
 */
export function decideAdmission(input: {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly table: AdmissionTable;
  readonly nowMs: number;
  readonly failOpen?: boolean;
  readonly purpose?: AdmissionPurpose;
}): Admission | Refusal {
  const { claims, table, nowMs, failOpen = false, purpose = 'enter' } = input;
  const subject = subjectOf(claims, nowMs);
  // nobody is kept inside: LiveKit lets a token end no session but its own
  if (!subject.admit || purpose === 'leave') return subject;

  const { streamId, userId, publishes } = subject;
  const about = { streamId, userId };
  const standing = table.standing(streamId, userId);
  // holds whether the table is current or not
  if (isBanned(standing, nowMs)) {
    return { ...refusal(403, 'banned', 'you are banned from this stream'), about };
  }
  if (!standing.current) {
    if (failOpen) return subject;
    return { ...refusal(503, 'table_not_current', 'seats cannot be checked right now, try again'), about };
  }
  if (publishes && !maySpeak(standing, nowMs)) {
    return {
      ...refusal(403, 'no_seat', 'no seat (any more): ask the token endpoint for a new token'),
      about,
    };
  }
  return subject;
}

/** Whether somebody is banned, as far as is known. */
export function isBanned({ ban }: Standing, nowMs: number): boolean {
  return ban !== null && !isOver(ban.untilMs, nowMs);
}

function maySpeak({ seat }: Standing, nowMs: number): boolean {
  return seat?.canPublish === true && !isOver(seat.expiresAtMs, nowMs);
}

export function refusal(status: Refusal['status'], reason: RefusalReason, message: string): Refusal {
  return { admit: false, status, reason, message };
}

/** Who the token makes its holder, in which room, if it is one that the token policy could have given. */
function subjectOf(claims: Readonly<Record<string, unknown>>, nowMs: number): Admission | Refusal {
  const untimely = judgeTimes(claims, nowMs / 1000);
  if (untimely !== null) return untimely;

  const { video } = claims;
  if (!isObject(video) || video.roomJoin !== true) {
    return refusal(401, 'no_join_grant', 'permissions denied');
  }
  // an alias (`id#x`) is its user: LiveKit signs tokens for aliases too, whoever joined as one holds one
  const [userId = ''] = textOf(claims.sub).split('#', 1);
  if (!uuidPattern.test(userId)) return refusal(403, 'not_a_user', 'the identity is not that of a user');
  const streamId = textOf(video.room);
  if (!uuidPattern.test(streamId)) return refusal(403, 'not_a_stream', 'the room is not that of a stream');

  const hostile = hostileGrantOf(claims, video);
  if (hostile !== null) return refusal(403, 'hostile_grant', `a token with ${hostile} is not let in here`);
  const canPublish = isGranted(video.canPublish);
  // unset, it follows canPublish
  const canPublishData = video.canPublishData == null ? canPublish : isGranted(video.canPublishData);
  return { admit: true, streamId, userId, publishes: canPublish || canPublishData };
}

/** A token that never ends would outlive every decision about its holder, though LiveKit would take it. */
function judgeTimes(claims: Readonly<Record<string, unknown>>, nowS: number): Refusal | null {
  const { exp, nbf, iat } = claims;
  if (!isTime(exp)) return refusal(401, 'expired', 'the token has no expiry (exp)');
  if (nowS - leewaySeconds > exp) return refusal(401, 'expired', 'token is expired (exp)');
  for (const start of [nbf, iat]) {
    if (start == null) continue;
    if (!isTime(start) || nowS + leewaySeconds < start) {
      return refusal(401, 'not_yet_valid', 'token not valid yet (nbf)');
    }
  }
  return null;
}

/** The first thing in a token that gives more than watching and speaking; null when there is none. */
function hostileGrantOf(
  claims: Readonly<Record<string, unknown>>,
  video: Readonly<Record<string, unknown>>,
): string | null {
  for (const [grant, value] of Object.entries(video)) {
    if (!harmlessGrants.has(grant) && !isEmpty(value)) return `the grant "${grant.slice(0, 40)}"`;
  }
  for (const claim of hostileClaims) if (!isEmpty(claims[claim])) return `the claim "${claim}"`;
  // what LiveKit writes into the tokens it signs for ordinary people
  if (!isEmpty(claims.kind) && claims.kind !== 'standard') return 'the claim "kind"';
  return null;
}

/** What LiveKit reads as nothing: not there, or the zero value of its type. */
function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return value === undefined || value === null || value === false || value === '';
}

/** Only an explicit `false` takes a permission away; LiveKit refuses what is no boolean, so it may count as granted. */
function isGranted(flag: unknown): boolean {
  return flag !== false;
}

/** Whether a moment has passed; null never does. */
function isOver(atMs: number | null, nowMs: number): boolean {
  return atMs !== null && atMs <= nowMs;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
