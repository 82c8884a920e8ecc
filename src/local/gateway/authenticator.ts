import { timingSafeEqual } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { type Authenticator, AuthRefusal, type Claims } from './context.ts';
import type { ApiKeys } from './keys.ts';

/** Tokens remembered as verified: each costs 0.1 ms to verify and a client sends the same one for an hour. */
const cacheLimit = 10_000;
/** Longer than any token a client of ours gets; what is longer is not worth hashing. */
const tokenBytesLimit = 16_384;

/** PostgREST allows for clocks that disagree: 30 s on `exp`, `nbf` and `iat`. */
export const restLeewayS = 30;

/** Verifies JWTs of one HS256 secret, and API keys of one project. */
export class KeyAuthenticator implements Authenticator {
  readonly #key: Uint8Array;
  readonly #keys: ApiKeys;
  /** Claims whose signature was verified; times are checked at every use. */
  readonly #verified = new Map<string, Claims>();

  constructor(jwtSecret: string, keys: ApiKeys) {
    this.#key = new TextEncoder().encode(jwtSecret);
    this.#keys = keys;
  }

  /**
   * @param leewayS how far the clocks may disagree; 0 for Realtime and auth, as on hosted
   * @throws AuthRefusal PGRST301 (cannot be verified), PGRST303 (claims do not hold)
   */
  async verifyJwt(token: string, leewayS = 0): Promise<Claims> {
    const claims = this.#verified.get(token) ?? (await this.#verifySignature(token));
    refuseByTime(claims, leewayS);
    return claims;
  }

  /** @throws AuthRefusal 401 */
  async resolveApiKey(apiKey: string): Promise<Claims> {
    const jwt = this.legacyOf(apiKey);
    if (jwt !== undefined) return this.verifyJwt(jwt);
    if (apiKey.startsWith('sb_')) throw new AuthRefusal(401, 'PGRST301', 'Invalid API key');
    return this.verifyJwt(apiKey);
  }

  /** The legacy JWT an opaque key stands for; undefined for anything else. */
  legacyOf(apiKey: string): string | undefined {
    if (sameText(apiKey, this.#keys.publishable)) return this.#keys.anon;
    if (sameText(apiKey, this.#keys.secret)) return this.#keys.serviceRole;
    return undefined;
  }

  async #verifySignature(token: string): Promise<Claims> {
    if (token.length > tokenBytesLimit) throw refusal('JWT is too long');
    try {
      // algorithms is the pin: `none` and every other alg of the header is refused before the key is used
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['HS256'],
        // times are checked separately, at every use of the cached claims
        clockTolerance: Number.MAX_SAFE_INTEGER,
      });
      const claims: Claims = { ...payload, role: roleOf(payload.role) };
      this.#remember(token, claims);
      return claims;
    } catch (error) {
      if (error instanceof AuthRefusal) throw error;
      throw refusal(reasonOf(error, token));
    }
  }

  #remember(token: string, claims: Claims): void {
    if (this.#verified.size >= cacheLimit) {
      // the first key is the one remembered longest ago
      const [oldest] = this.#verified.keys();
      if (oldest !== undefined) this.#verified.delete(oldest);
    }
    this.#verified.set(token, claims);
  }
}

function roleOf(role: unknown): string {
  // a token without a role is a guest's, as in PostgREST
  if (role === undefined || role === null || role === '') return 'anon';
  if (typeof role === 'string' && !role.includes('\0')) return role;
  throw new AuthRefusal(401, 'PGRST303', 'The JWT claim "role" must be a string');
}

function refuseByTime({ exp, nbf, iat }: Claims, leewayS: number): void {
  const nowS = Date.now() / 1000;
  if (exp !== undefined && exp <= nowS - leewayS) throw new AuthRefusal(401, 'PGRST303', 'JWT expired');
  if (typeof nbf === 'number' && nbf > nowS + leewayS) {
    throw new AuthRefusal(401, 'PGRST303', 'JWT not yet valid');
  }
  if (typeof iat === 'number' && iat > nowS + Math.max(leewayS, restLeewayS)) {
    throw new AuthRefusal(401, 'PGRST303', 'JWT issued at future');
  }
}

function refusal(message: string): AuthRefusal {
  return new AuthRefusal(401, 'PGRST301', message);
}

function reasonOf(error: unknown, token: string): string {
  const parts = token.split('.').length;
  if (parts !== 3) return `Expected 3 parts in JWT; got ${parts}`;
  if (error instanceof errors.JOSEAlgNotAllowed) return 'Wrong or unsupported encoding algorithm';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'No suitable key or wrong key type';
  return 'JWT cryptographic operation failed';
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
