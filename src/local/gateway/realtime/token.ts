import { type Authenticator, AuthRefusal, type Claims } from '../context.ts';

/** A verified token: what a socket or a channel acts as. */
export interface VerifiedToken {
  readonly text: string;
  readonly claims: Claims;
  /** Unix seconds; null for `sb_…` keys, which do not expire. */
  readonly expiresAtS: number | null;
}

/** Why hosted Realtime refuses a token. `code` is the word before the colon in a join's reason. */
export class TokenRefusal extends Error {
  override readonly name = 'TokenRefusal';
  readonly kind: 'missing' | 'expired' | 'missing_claims' | 'malformed' | 'signature';

  constructor(kind: TokenRefusal['kind'], message: string) {
    super(message);
    this.kind = kind;
  }

  /** The reason in the reply to a refused `phx_join`. */
  get joinReason(): string {
    const code = {
      missing: 'MalformedJWT',
      expired: 'InvalidJWTToken',
      missing_claims: 'InvalidJWTToken',
      malformed: 'MalformedJWT',
      signature: 'JwtSignatureError',
    }[this.kind];
    return `${code}: ${this.message}`;
  }

  /** The body of the 401 that a refused connect gets. */
  get connectMessage(): string {
    return this.kind === 'expired' ? 'Token has expired' : this.message;
  }

  /** The `system` message when a joined channel is shut because of its new token. */
  get shutdownMessage(): string {
    // hosted sends Elixir's inspect() of the atom here
    return this.kind === 'signature' ? ':signature_error' : this.message;
  }
}

/** What stands in `apikey` at connect. @throws TokenRefusal */
export async function verifyApiKey(auth: Authenticator, apiKey: string | null): Promise<VerifiedToken> {
  if (!apiKey) throw new TokenRefusal('missing', 'API key is missing');
  if (!isNewKey(apiKey)) return verifyToken(auth, apiKey);
  try {
    return { text: apiKey, claims: await auth.resolveApiKey(apiKey), expiresAtS: null };
  } catch (error) {
    if (error instanceof AuthRefusal) throw malformed();
    throw error;
  }
}

/** A JWT as `access_token` of a channel or a Bearer header. @throws TokenRefusal */
export async function verifyToken(auth: Authenticator, token: string): Promise<VerifiedToken> {
  const unverified = peekClaims(token);
  if (!unverified) throw malformed();
  let claims: Claims;
  try {
    claims = await auth.verifyJwt(token);
  } catch (error) {
    if (error instanceof AuthRefusal) throw refusalOf(error, unverified);
    throw error;
  }
  // the role as it stands in the token: PostgREST's default for a missing one does not hold here
  if (typeof unverified.role !== 'string' || !Number.isInteger(claims.exp)) {
    throw new TokenRefusal('missing_claims', 'Fields `role` and `exp` are required in JWT');
  }
  // checked to be an integer just above
  return { text: token, claims, expiresAtS: claims.exp as number };
}

/** `sb_publishable_…` and `sb_secret_…`: never a JWT. */
export function isNewKey(token: string): boolean {
  return token.startsWith('sb_');
}

export function expiredRefusal(expiresAtS: number, nowMs: number): TokenRefusal {
  const secondsAgo = Math.max(0, Math.floor(nowMs / 1000) - expiresAtS);
  return new TokenRefusal('expired', `Token has expired ${secondsAgo} seconds ago`);
}

function refusalOf(refusal: AuthRefusal, unverified: Record<string, unknown>): TokenRefusal {
  // PGRST303: the signature held and a claim did not
  if (refusal.pgrstCode === 'PGRST303') {
    return typeof unverified.exp === 'number'
      ? expiredRefusal(unverified.exp, Date.now())
      : new TokenRefusal('missing_claims', 'Fields `role` and `exp` are required in JWT');
  }
  return new TokenRefusal('signature', 'Failed to validate JWT signature');
}

function malformed(): TokenRefusal {
  return new TokenRefusal('malformed', 'The token provided is not a valid JWT');
}

/** The claims of a token nobody has verified: only to tell a malformed token from a refused one. */
function peekClaims(token: string): Record<string, unknown> | null {
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  try {
    const header: unknown = JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString('utf8'));
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
    if (header === null || typeof header !== 'object' || claims === null || typeof claims !== 'object')
      return null;
    // any JSON object has string keys
    return claims as Record<string, unknown>;
  } catch {
    return null;
  }
}
