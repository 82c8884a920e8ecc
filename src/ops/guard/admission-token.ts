import { compactVerify, errors } from 'jose';
import { messageOf } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import type { Secret } from '../../kernel/redact.ts';
import { type Refusal, refusal } from './admission.ts';

/** The payload of a verified token. */
export interface VerifiedToken {
  readonly claims: Readonly<Record<string, unknown>>;
}

export type TokenVerifier = (token: string) => Promise<VerifiedToken | Refusal>;

/** A JWT of the token policy has some 600 characters, one that LiveKit signed some 900. */
const tokenCharsLimit = 8_192;

/**
 * Three parts, base64url, nothing else: LiveKit's library also takes the JSON serialization and strips white space,
 * but what this gate cannot read in the same way it does not pass on.
 */
const compactPattern = /^[\w-]{1,1000}\.[\w-]+\.[\w-]{43}$/;

/** Verifies that a token was signed HS256 with the secret of the one API key. Its claims are not judged here. */
export async function tokenVerifier(apiKey: string, apiSecret: Secret): Promise<TokenVerifier> {
  const key = await crypto.subtle.importKey(
    'raw',
    new TextEncoder().encode(apiSecret.reveal()),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['verify'],
  );
  return async (token) => {
    if (token.length > tokenCharsLimit || !compactPattern.test(token)) {
      return refusal(401, 'bad_token', 'invalid authorization token');
    }
    try {
      const { payload } = await compactVerify(token, key, { algorithms: ['HS256'] });
      const claims: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
      if (!isObject(claims)) return refusal(401, 'bad_token', 'invalid authorization token');
      if (claims.iss !== apiKey) return refusal(401, 'bad_token', 'invalid API key');
      return { claims };
    } catch (error) {
      return refusal(401, 'bad_token', `invalid token: ${whyOf(error)}`);
    }
  };
}

/** In the words of the library, which never repeat the token; anything else only says that it failed. */
function whyOf(error: unknown): string {
  return error instanceof errors.JOSEError ? messageOf(error) : 'the payload cannot be read';
}
