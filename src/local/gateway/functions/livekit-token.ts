import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SignJWT } from 'jose';
import type { CallerClaims, LiveKitClaims, TokenContext } from '../../../app/token-policy.ts';
import { answerTokenRequest, type TokenHost, type TokenResponse } from '../../../app/token-request.ts';
import type { KeyAuthenticator } from '../authenticator.ts';
import { AuthRefusal } from '../context.ts';
import { RestError } from '../rest/rest-error.ts';
import type { RestHandler } from '../rest/rest-handler.ts';

interface LiveKitOfGateway {
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  /** What clients are told to dial; `url` where it is left out. */
  readonly publicUrl?: string;
}

interface Parts {
  readonly rest: RestHandler;
  readonly auth: KeyAuthenticator;
  readonly livekit: LiveKitOfGateway | null;
}

/** `POST /functions/v1/livekit-token`: what the Edge Function of the same name does, with the same code. */
export class LiveKitTokenFunction {
  readonly #rest: RestHandler;
  readonly #auth: KeyAuthenticator;
  readonly #host: TokenHost;

  constructor({ rest, auth, livekit }: Parts) {
    this.#rest = rest;
    this.#auth = auth;
    this.#host = {
      verify: (jwt) => this.#verify(jwt),
      context: (streamId, userId) => this.#context(streamId, userId),
      livekit: livekit && { url: livekit.publicUrl ?? livekit.url, apiKey: livekit.apiKey },
      sign: (claims) => sign(claims, livekit?.apiSecret ?? ''),
      nowMs: () => Date.now(),
      newId: () => randomUUID(),
    };
  }

  /** Answers whatever is asked; throws only for a bug. */
  handle(request: {
    readonly method: string;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }): Promise<TokenResponse> {
    const { method, headers, body } = request;
    return answerTokenRequest({ method, authorization: headers.authorization, body }, this.#host);
  }

  async #verify(jwt: string): Promise<CallerClaims | null> {
    try {
      return await this.#auth.verifyJwt(jwt);
    } catch (error) {
      if (error instanceof AuthRefusal) return null;
      throw error;
    }
  }

  /** As the service role, like the Edge Function with the project's secret key. */
  async #context(streamId: string, userId: string): Promise<TokenContext | { problem: string }> {
    try {
      const answer = await this.#rest.handle({
        method: 'POST',
        path: 'rpc/livekit_token_context',
        query: '',
        headers: {},
        body: JSON.stringify({ p_stream_id: streamId, p_user_id: userId }),
        claims: { role: 'service_role' },
      });
      // the function's contract: a jsonb of this shape
      return JSON.parse(answer.body) as TokenContext;
    } catch (error) {
      if (error instanceof RestError) return { problem: error.message };
      throw error;
    }
  }
}

function sign(claims: LiveKitClaims, apiSecret: string): Promise<string> {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode(apiSecret));
}
