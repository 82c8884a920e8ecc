/**
 * Who gets which LiveKit token: one pure policy for the embedded gateway and the Supabase Edge Function.
 * It imports nothing, because it ships to both. Nothing a client sends reaches the token but the id of a stream,
 * and even of that only the room the database knows it by.
 */

/** What the endpoint knows about the caller: the claims of a JWT whose signature and expiry were already checked. */
export interface CallerClaims {
  readonly role?: unknown;
  readonly sub?: unknown;
  readonly aud?: unknown;
}

/** The jsonb of the database's `livekit_token_context(stream, user)`. Times are ISO 8601 texts. */
export interface TokenContext {
  readonly stream: { readonly id: string; readonly room: string; readonly status: string } | null;
  readonly profile: {
    readonly username: string;
    readonly display_name: string | null;
    readonly avatar_url: string | null;
  } | null;
  readonly seat: {
    readonly role: string;
    readonly can_publish: boolean;
    readonly state: string;
    readonly expires_at: string | null;
    readonly granted_at?: string | null;
  } | null;
  readonly ban: { readonly reason: string | null; readonly until: string | null } | null;
}

type PublishSource = 'camera' | 'microphone' | 'screen_share' | 'screen_share_audio';

/** Every flag stands here, because LiveKit 1.11.0 takes an unset one as permission. */
interface VideoGrants {
  readonly roomJoin: true;
  readonly room: string;
  readonly canPublish: boolean;
  readonly canSubscribe: boolean;
  readonly canPublishData: boolean;
  readonly canUpdateOwnMetadata: false;
  readonly canPublishSources?: readonly PublishSource[];
}

interface GrantedToken {
  /** The user's id: never client text, so never an alias (`id#…`). */
  readonly identity: string;
  readonly name: string;
  readonly room: string;
  readonly ttlSeconds: number;
  readonly grants: VideoGrants;
  /** What other participants see. From the database; the app must still not authorise by it. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface TokenAllowed {
  readonly allow: true;
  readonly token: GrantedToken;
}

interface TokenRefused {
  readonly allow: false;
  readonly status: 400 | 401 | 403 | 404;
  readonly code:
    | 'bad_request'
    | 'not_signed_in'
    | 'not_a_user'
    | 'stream_not_found'
    | 'stream_ended'
    | 'no_room'
    | 'no_profile'
    | 'banned';
  readonly message: string;
}

export type TokenDecision = TokenAllowed | TokenRefused;

/** The exact payload of the JWT. */
export interface LiveKitClaims {
  readonly iss: string;
  readonly sub: string;
  readonly name: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti?: string;
  readonly video: VideoGrants;
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * LiveKit adds 60 s of leeway and gives every joiner a 10-minute token of its own, so a short life protects only
 * tokens that were never used; 60 s is ample for a client that connects at once.
 */
const tokenTtlSeconds = 60;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What a request may name its stream by; the first that is there counts. */
const streamKeys = ['streamId', 'stream_id', 'room'] as const;

const sourcesByRole: Readonly<Record<string, readonly PublishSource[]>> = {
  host: ['camera', 'microphone', 'screen_share', 'screen_share_audio'],
  speaker: ['camera', 'microphone'],
  guest: ['camera', 'microphone'],
};

/** The stream a request body asks for (lower-case UUID), or null. Everything else in the body is ignored. */
export function requestedStreamId(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null;
  for (const key of streamKeys) {
    if (!Object.hasOwn(body, key)) continue;
    const value: unknown = Reflect.get(body, key);
    const text = typeof value === 'string' ? value.toLowerCase() : '';
    return uuidPattern.test(text) ? text : null;
  }
  return null;
}

/**
 * The id of the user a verified JWT speaks for (lower-case UUID), or null for keys, guests and odd subjects, and for
 * a JWT that the same key signed for another audience.
 */
export function callerUserId(claims: CallerClaims): string | null {
  if (claims.role !== 'authenticated' || typeof claims.sub !== 'string') return null;
  if (!isForUsers(claims.aud)) return null;
  const sub = claims.sub.toLowerCase();
  return uuidPattern.test(sub) ? sub : null;
}

/**
 * Decides about one request. `context` must be that of the requested stream and the caller.
 * A live stream may be watched by everybody who is not banned; publishing takes an active seat that says so.
 */
export function decideToken(input: {
  readonly claims: CallerClaims;
  readonly request: unknown;
  readonly context: TokenContext;
  readonly nowMs: number;
}): TokenDecision {
  const { claims, context, nowMs } = input;
  const identity = callerUserId(claims);
  if (identity === null) return refuseCaller(claims);
  const streamId = requestedStreamId(input.request);
  if (streamId === null) {
    return refuse(400, 'bad_request', 'the body must name a stream: {"streamId": "<uuid>"}');
  }
  const { stream, profile } = context;
  if (stream === null || stream.id.toLowerCase() !== streamId) {
    return refuse(404, 'stream_not_found', 'no such stream');
  }
  if (context.ban !== null && !isOver(context.ban.until, nowMs)) {
    return refuse(403, 'banned', 'you are banned from this stream');
  }
  if (stream.status !== 'live') return refuse(403, 'stream_ended', 'the stream is not live');
  if (profile === null) return refuse(403, 'no_profile', 'there is no profile for this user');
  // LiveKit knows no wildcard, but whatever reads such a token might
  if (stream.room === '' || stream.room === '*')
    return refuse(403, 'no_room', 'the stream has no room of its own');

  const seat = activeSeat(context.seat, nowMs);
  return {
    allow: true,
    token: {
      identity,
      name: profile.display_name ?? profile.username,
      room: stream.room,
      ttlSeconds: ttlFor(seat?.expires_at ?? null, nowMs),
      grants: grantsFor(stream.room, seat),
      attributes: {
        role: seat?.role ?? 'viewer',
        ...(profile.avatar_url === null ? {} : { avatar: profile.avatar_url }),
      },
    },
  };
}

/**
 * The JWT payload for an allowed decision, to be signed HS256 with the API secret of `apiKey`.
 * @param nowS seconds since the epoch
 * @param jti an id for the audit trail; LiveKit does not look at it
 */
export function liveKitClaims(
  decision: TokenAllowed,
  apiKey: string,
  nowS: number,
  jti?: string,
): LiveKitClaims {
  const { identity, name, ttlSeconds, grants, attributes } = decision.token;
  const issuedAt = Math.floor(nowS);
  return {
    iss: apiKey,
    sub: identity,
    name,
    iat: issuedAt,
    nbf: issuedAt,
    exp: issuedAt + ttlSeconds,
    ...(jti === undefined ? {} : { jti }),
    video: grants,
    attributes,
  };
}

function refuse(status: TokenRefused['status'], code: TokenRefused['code'], message: string): TokenRefused {
  return { allow: false, status, code, message };
}

function refuseCaller(claims: CallerClaims): TokenRefused {
  if (claims.role === 'anon' || claims.role === undefined) {
    return refuse(401, 'not_signed_in', 'sign in: the anon key is not a user');
  }
  // a service key could act for anybody, so it gets a token for nobody
  return refuse(403, 'not_a_user', 'tokens are given to signed-in users only');
}

/** GoTrue signs for `authenticated`; a JWT that names no audience is for everybody (RFC 7519, 4.1.3). */
function isForUsers(aud: unknown): boolean {
  if (aud === undefined || aud === null) return true;
  return Array.isArray(aud) ? aud.includes('authenticated') : aud === 'authenticated';
}

function activeSeat(seat: TokenContext['seat'], nowMs: number): TokenContext['seat'] {
  if (seat === null || seat.state !== 'active') return null;
  // the row may not have been swept yet: the time in it counts; one that cannot be read is no seat
  return seat.expires_at === null || Date.parse(seat.expires_at) > nowMs ? seat : null;
}

function grantsFor(room: string, seat: TokenContext['seat']): VideoGrants {
  const canPublish = seat?.can_publish === true;
  return {
    roomJoin: true,
    room,
    canPublish,
    canSubscribe: true,
    canPublishData: canPublish,
    canUpdateOwnMetadata: false,
    // an empty list would mean every source, so the list stands only where publishing is allowed
    ...(canPublish ? { canPublishSources: sourcesByRole[seat?.role ?? ''] ?? ['microphone'] } : {}),
  };
}

function ttlFor(seatExpiresAt: string | null, nowMs: number): number {
  if (seatExpiresAt === null) return tokenTtlSeconds;
  const leftSeconds = Math.floor((Date.parse(seatExpiresAt) - nowMs) / 1000);
  return Math.max(1, Math.min(tokenTtlSeconds, leftSeconds));
}

/** Whether a ban is over. No end means for ever, and one that cannot be read never comes: the ban holds. */
function isOver(until: string | null, nowMs: number): boolean {
  return until !== null && Date.parse(until) <= nowMs;
}
