import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';

/** The four keys of a project: legacy JWTs and their successors, which are opaque. */
export interface ApiKeys {
  /** HS256 JWT with role `anon`. */
  readonly anon: string;
  /** HS256 JWT with role `service_role`. */
  readonly serviceRole: string;
  /** `sb_publishable_…`, stands for `anon`. */
  readonly publishable: string;
  /** `sb_secret_…`, stands for `service_role`. */
  readonly secret: string;
}

/** Hosted projects' legacy keys live ten years. */
const lifetimeS = 10 * 365 * 24 * 3600;

/**
 * The keys of a JWT secret. The opaque ones are derived from it, so a stack that keeps its secret keeps its keys;
 * they carry 128 bits each and do not reveal the secret.
 */
export async function mintApiKeys(jwtSecret: string): Promise<ApiKeys> {
  const [anon, serviceRole] = await Promise.all([
    mintLegacyKey(jwtSecret, 'anon'),
    mintLegacyKey(jwtSecret, 'service_role'),
  ]);
  return {
    anon,
    serviceRole,
    publishable: `sb_publishable_${derive(jwtSecret, 'publishable')}`,
    secret: `sb_secret_${derive(jwtSecret, 'secret')}`,
  };
}

function mintLegacyKey(jwtSecret: string, role: string): Promise<string> {
  const nowS = Math.floor(Date.now() / 1000);
  return new SignJWT({ role })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer('supabase')
    .setIssuedAt(nowS)
    .setExpirationTime(nowS + lifetimeS)
    .sign(new TextEncoder().encode(jwtSecret));
}

function derive(jwtSecret: string, purpose: string): string {
  return createHash('sha256')
    .update(`trollfix ${purpose} key of ${jwtSecret}`)
    .digest('base64url')
    .slice(0, 22);
}
