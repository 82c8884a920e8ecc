import type { IncomingHttpHeaders } from 'node:http';
import { type KeyAuthenticator, restLeewayS } from './authenticator.ts';
import { AuthRefusal, type Claims } from './context.ts';

/** The hosted gateway's own refusals come in its own form, `{message, hint}`. */
export class KeyRefusal extends Error {
  override readonly name = 'KeyRefusal';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** What a request presents, after the rules of the hosted gateway. */
export interface Credentials {
  /** From the `apikey` header or URL parameter. */
  readonly apiKey: string | undefined;
  /** The JWT that speaks for the caller: of `Authorization`, or what the API key stands for. */
  readonly token: string | undefined;
}

/**
 * Opaque keys are no JWTs: as Bearer they count only when they repeat the API key, and what they stand for takes
 * their place. A legacy key stands for itself when there is no `Authorization`.
 */
export function credentialsOf(
  headers: IncomingHttpHeaders,
  query: string,
  auth: KeyAuthenticator,
): Credentials {
  const header = headers.apikey;
  const apiKey =
    (Array.isArray(header) ? header[0] : header) ?? new URLSearchParams(query).get('apikey') ?? undefined;
  const bearer = bearerOf(headers.authorization);
  const isRepeated = bearer !== undefined && bearer === apiKey;
  const opaque = bearer?.startsWith('sb_') ?? false;
  if (bearer !== undefined && !(opaque && isRepeated)) return { apiKey, token: bearer };
  return { apiKey, token: apiKey === undefined ? undefined : (auth.legacyOf(apiKey) ?? apiKey) };
}

/** The token of an `Authorization` header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}

/** Browsers say so in their first word; a secret key in one is a leaked key. */
const browserPattern = /^Mozilla\//;

/**
 * Checks the API key as the hosted gateway does before anything else sees the request.
 * @throws KeyRefusal (401)
 */
export async function admitApiKey(
  apiKey: string | undefined,
  headers: IncomingHttpHeaders,
  auth: KeyAuthenticator,
): Promise<void> {
  if (apiKey === undefined || apiKey === '') {
    throw new KeyRefusal('No API key found in request', 'No `apikey` request header or url param was found.');
  }
  try {
    await auth.resolveApiKey(apiKey);
  } catch (error) {
    if (!(error instanceof AuthRefusal)) throw error;
    throw new KeyRefusal('Invalid API key', 'Double check your Supabase `anon` or `service_role` API key.');
  }
  if (apiKey.startsWith('sb_secret_') && browserPattern.test(headers['user-agent'] ?? '')) {
    throw new KeyRefusal(
      'Forbidden use of secret API key in browser',
      'Secret API keys can only be used in a protected environment and should never be used in a browser.',
    );
  }
}

/** The claims a REST request runs under. @throws AuthRefusal */
export async function restClaims(credentials: Credentials, auth: KeyAuthenticator): Promise<Claims> {
  if (credentials.token === undefined) return { role: 'anon' };
  return auth.verifyJwt(credentials.token, restLeewayS);
}
