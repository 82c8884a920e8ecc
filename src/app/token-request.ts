/**
 * One request to the token endpoint from its headers to its answer, for the embedded gateway and the Supabase Edge
 * Function alike: who serves it brings the ways to verify, look up and sign, and nothing of the order between them.
 */
import {
  type CallerClaims,
  callerUserId,
  decideToken,
  type LiveKitClaims,
  liveKitClaims,
  requestedStreamId,
  type TokenContext,
} from './token-policy.ts';

/** A request as it came over HTTP. Headers other than these, and the query, are not looked at. */
export interface TokenRequest {
  readonly method: string;
  readonly authorization: string | null | undefined;
  readonly body: string;
}

export interface TokenResponse {
  readonly status: number;
  /** Goes out as JSON. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What serves the endpoint, as the one who answers sees it. */
export interface TokenHost {
  /** The claims of a JWT whose signature, algorithm and times hold; null for every other text. */
  readonly verify: (jwt: string) => Promise<CallerClaims | null>;
  /** `livekit_token_context` under the service role, or why it could not be asked. */
  readonly context: (
    streamId: string,
    userId: string,
  ) => Promise<TokenContext | { readonly problem: string }>;
  /** The address that clients are given and the API key tokens are issued by; null where there is no LiveKit. */
  readonly livekit: { readonly url: string; readonly apiKey: string } | null;
  /** Signs HS256 with the API secret. */
  readonly sign: (claims: LiveKitClaims) => Promise<string>;
  readonly nowMs: () => number;
  readonly newId: () => string;
}

/** Nobody: the decision about callers without an id needs no row of theirs. */
const nobody: TokenContext = { stream: null, profile: null, seat: null, ban: null };

/**
 * 200 `{token, url, identity, room, expiresAt}` (ISO 8601); refusals `{code, message}` with the policy's status;
 * 401 without a valid JWT; 405 for anything but POST; 503 while seats cannot be looked up or LiveKit is missing.
 */
export async function answerTokenRequest(request: TokenRequest, host: TokenHost): Promise<TokenResponse> {
  if (request.method !== 'POST') return refusal(405, 'method_not_allowed', 'use POST');
  const jwt = bearerOf(request.authorization);
  if (jwt === null) return refusal(401, 401, 'Missing authorization header');
  const claims = await host.verify(jwt);
  if (claims === null || !hasPlainRole(claims)) return refusal(401, 401, 'Invalid JWT');
  let body: unknown;
  try {
    body = JSON.parse(request.body);
  } catch {
    return refusal(400, 'bad_request', 'the body must be JSON: {"streamId": "<uuid>"}');
  }
  const [userId, streamId] = [callerUserId(claims), requestedStreamId(body)];
  let context = nobody;
  if (userId !== null && streamId !== null) {
    const found = await host.context(streamId, userId);
    if ('problem' in found) {
      return refusal(503, 'no_database', `the seat cannot be looked up: ${found.problem}`);
    }
    context = found;
  }
  const decision = decideToken({ claims, request: body, context, nowMs: host.nowMs() });
  if (!decision.allow) return refusal(decision.status, decision.code, decision.message);
  if (host.livekit === null) {
    return refusal(503, 'livekit_missing', 'there is no LiveKit to give a token for');
  }
  const payload = liveKitClaims(decision, host.livekit.apiKey, host.nowMs() / 1000, host.newId());
  const token = await host.sign(payload);
  const { identity, room } = decision.token;
  const expiresAt = new Date(payload.exp * 1000).toISOString();
  return { status: 200, body: { token, url: host.livekit.url, identity, room, expiresAt } };
}

/** PostgREST takes a role that is no text for no role at all; a list of them is nobody's here either. */
function hasPlainRole({ role }: CallerClaims): boolean {
  return role === undefined || role === null || typeof role === 'string';
}

/** The JWT of an Authorization header, or null. The scheme's name is case-insensitive (RFC 9110, 11.1). */
function bearerOf(authorization: string | null | undefined): string | null {
  const [, jwt = ''] = /^bearer +(\S+)$/i.exec(authorization?.trim() ?? '') ?? [];
  return jwt === '' ? null : jwt;
}

/** The relay of hosted Edge Functions answers with the number as its code, the policy with a word. */
function refusal(status: number, code: number | string, message: string): TokenResponse {
  return { status, body: { code, message } };
}
