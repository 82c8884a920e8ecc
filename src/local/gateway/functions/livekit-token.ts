import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SignJWT } from 'jose';
import {
  callerUserId,
  decideToken,
  liveKitClaims,
  requestedStreamId,
  type TokenContext,
} from '../../../app/token-policy.ts';
import type { KeyAuthenticator } from '../authenticator.ts';
import { AuthRefusal, type Claims } from '../context.ts';
import { bearerOf } from '../credentials.ts';
import { RestError } from '../rest/rest-error.ts';
import type { RestHandler } from '../rest/rest-handler.ts';

export interface FunctionAnswer {
  readonly status: number;
  readonly body: unknown;
}

interface Parts {
  readonly rest: RestHandler;
  readonly auth: KeyAuthenticator;
  readonly livekit: { readonly url: string; readonly apiKey: string; readonly apiSecret: string } | null;
}

/** Nobody: the decision about callers without an id needs no row of theirs. */
const nobody: TokenContext = { stream: null, profile: null, seat: null, ban: null };

/**
 * `POST /functions/v1/livekit-token`: what the Edge Function of the same name does, with the same pure policy.
 * 200 `{token, url, identity, room, expiresAt}` (ISO 8601); refusals `{code, message}` with the policy's status;
 * 401 without a valid JWT, as the hosted relay (`verify_jwt`) answers; 503 while there is no LiveKit.
 */
export class LiveKitTokenFunction {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async handle(request: {
    readonly method: string;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }): Promise<FunctionAnswer> {
    if (request.method !== 'POST') return refusal(405, 'method_not_allowed', 'use POST');
    const token = bearerOf(request.headers.authorization);
    if (token === undefined)
      return { status: 401, body: { code: 401, message: 'Missing authorization header' } };
    let claims: Claims;
    try {
      claims = await this.#parts.auth.verifyJwt(token);
    } catch (error) {
      if (error instanceof AuthRefusal) return { status: 401, body: { code: 401, message: 'Invalid JWT' } };
      throw error;
    }
    let body: unknown;
    try {
      body = JSON.parse(request.body);
    } catch {
      return refusal(400, 'bad_request', 'the body must be JSON: {"streamId": "<uuid>"}');
    }
    return this.#decide(claims, body);
  }

  async #decide(claims: Claims, body: unknown): Promise<FunctionAnswer> {
    const { livekit } = this.#parts;
    const userId = callerUserId(claims);
    const streamId = requestedStreamId(body);
    let context = nobody;
    if (userId !== null && streamId !== null) {
      try {
        context = await this.#context(streamId, userId);
      } catch (error) {
        if (!(error instanceof RestError)) throw error;
        return refusal(503, 'no_database', `the seat cannot be looked up: ${error.message}`);
      }
    }
    const decision = decideToken({ claims, request: body, context, nowMs: Date.now() });
    if (!decision.allow) return refusal(decision.status, decision.code, decision.message);
    if (livekit === null) {
      return refusal(503, 'livekit_missing', 'LiveKit is not running on this stack: see `trollfix status`');
    }
    const payload = liveKitClaims(decision, livekit.apiKey, Date.now() / 1000, randomUUID());
    const token = await new SignJWT({ ...payload })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .sign(new TextEncoder().encode(livekit.apiSecret));
    const { identity, room } = decision.token;
    const expiresAt = new Date(payload.exp * 1000).toISOString();
    return { status: 200, body: { token, url: livekit.url, identity, room, expiresAt } };
  }

  /** As the service role, like the Edge Function with the project's secret key. @throws RestError */
  async #context(streamId: string, userId: string): Promise<TokenContext> {
    const answer = await this.#parts.rest.handle({
      method: 'POST',
      path: 'rpc/livekit_token_context',
      query: '',
      headers: {},
      body: JSON.stringify({ p_stream_id: streamId, p_user_id: userId }),
      claims: { role: 'service_role' },
    });
    // the function's contract: a jsonb of this shape
    return JSON.parse(answer.body) as TokenContext;
  }
}

function refusal(status: number, code: string, message: string): FunctionAnswer {
  return { status, body: { code, message } };
}
