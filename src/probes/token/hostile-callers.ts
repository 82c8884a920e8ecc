import { createHmac, createPublicKey, createSign, type JsonWebKey, randomBytes } from 'node:crypto';
import { mintUserToken } from '../../target/supabase/synthetic-users.ts';
import type { CaseWriter, TokenCase } from './hostile-case.ts';
import { claimsOf, type ForgersKeys } from './scene.ts';

/** Long enough that only what is wrong with a forged session can be why it is refused. */
const sessionLifeS = 3_600;

/** A session that the real key has signed opens more than this endpoint while it lives: as short as an attack takes. */
const signedLifeS = 120;

type Missing = { readonly missing: string };
type Claims = Record<string, unknown>;

/** Sessions that are no session: none, keys, forgeries, and what the right key signed for somebody or something else. */
export function callerCases(write: CaseWriter, keys: ForgersKeys): TokenCase[] {
  return [
    ...keyCases(write),
    ...forgedCases(write),
    ...confusionCases(write, keys),
    ...signedCases(write),
    ...headerCases(write),
  ];
}

/** Nobody, and the keys of the project that are no users. */
function keyCases(write: CaseWriter): TokenCase[] {
  const { apiKey, serviceRoleKey } = write.scene;
  const serviceKey = serviceRoleKey ?? { missing: "needs the project's service-role key" };
  const cases = [
    write.refusedCaller('nobody', null),
    write.refusedCaller('the anon key', apiKey ?? { missing: "needs the project's anon key" }),
    write.refusedCaller('an empty token', ''),
    write.refusedCaller('not a JWT', 'not.a.jwt'),
    // the real service key may do everything but be somebody
    write.refusedCaller('the service-role key itself', serviceKey),
  ];
  if (serviceRoleKey === null) return cases;
  return [
    ...cases,
    write.atMost('caller', 'viewer', "the service-role key beside a user's session", {
      headers: { apikey: serviceRoleKey },
      extra: { canPublish: true, role: 'service_role' },
    }),
  ];
}

/** What can be made of a real session without any key. */
function forgedCases(write: CaseWriter): TokenCase[] {
  const session = write.anybody()?.jwt ?? null;
  const claims = session === null ? null : claimsOf(session);
  const { nowS } = write.scene;
  const other = write.scene.people.speaker?.id ?? '00000000-0000-4000-8000-0000000000ff';
  const forge = (name: string, make: (jwt: string, claims: Claims) => string) => {
    const missing = { missing: 'needs a session that is a JWT' };
    return write.refusedCaller(name, session === null || claims === null ? missing : make(session, claims));
  };
  const wrongSecret = randomBytes(32).toString('hex');
  const renewed = (was: Claims) => ({ ...was, iat: nowS, exp: nowS + sessionLifeS });
  return [
    forge('a JWT signed with another key', (_jwt, was) => hs256(wrongSecret, renewed(was))),
    forge('a JWT signed with an empty key', (_jwt, was) => hs256('', renewed(was))),
    ...['none', 'None', 'NONE', 'nOnE', ''].map((alg) =>
      forge(`an unsigned JWT (alg ${alg || 'empty'})`, (_jwt, was) => unsigned({ alg }, renewed(was))),
    ),
    forge('a JWT without its signature', (jwt) => jwt.split('.').slice(0, 2).join('.')),
    forge('a JWT with an empty signature', (jwt) => `${jwt.split('.').slice(0, 2).join('.')}.`),
    forge("another user's claims under one's own signature", (jwt, was) =>
      transplanted(jwt, { ...was, sub: other }),
    ),
    forge('a later expiry under the old signature', (jwt, was) =>
      transplanted(jwt, { ...was, exp: nowS + 31_536_000 }),
    ),
    forge("the service role under a user's signature", (jwt, was) =>
      transplanted(jwt, { ...was, role: 'service_role' }),
    ),
    forge('a forged service-role key', () =>
      hs256(wrongSecret, { role: 'service_role', iss: 'supabase', exp: nowS + sessionLifeS }),
    ),
    forge('an empty key named by its path (kid)', (_jwt, was) =>
      hs256('', renewed(was), { kid: '../../../../../../dev/null' }),
    ),
  ];
}

/** A public key taken for a secret, and keys that the token brings along itself. */
function confusionCases(write: CaseWriter, { privateKey, publicJwk }: ForgersKeys): TokenCase[] {
  const { nowS, publicKeys } = write.scene;
  const session = write.anybody()?.jwt ?? null;
  const was = session === null ? null : claimsOf(session);
  const forge = (name: string, make: (claims: Claims) => string | Missing) => {
    const missing = { missing: 'needs a session that is a JWT' };
    const claims = was === null ? null : { ...was, iat: nowS, exp: nowS + sessionLifeS };
    return write.refusedCaller(name, claims === null ? missing : make(claims));
  };
  const rs256 = (claims: Claims, header: Record<string, unknown>) => {
    const text = `${part({ alg: 'RS256', typ: 'JWT', ...header })}.${part(claims)}`;
    return `${text}.${createSign('sha256').update(text).sign(privateKey, 'base64url')}`;
  };
  const unknown = { missing: 'needs the public keys that sessions are verified with (--jwks)' };
  const confused: TokenCase[] =
    publicKeys === null
      ? [write.refusedCaller('a public key as the secret (RS256 to HS256)', unknown)]
      : publicKeys.flatMap((jwk, index) => {
          const nth = publicKeys.length === 1 ? '' : ` ${index + 1}`;
          return [
            forge(`public key${nth} as PEM for a secret (HS256)`, (claims) =>
              hs256(pemOf(jwk), claims, kidOf(jwk)),
            ),
            forge(`public key${nth} as JWK for a secret (HS256)`, (claims) =>
              hs256(JSON.stringify(jwk), claims, kidOf(jwk)),
            ),
          ];
        });
  return [
    ...confused,
    forge("RS256 by a key of the attacker's own", (claims) => rs256(claims, {})),
    forge('RS256 by a key that the token brings (jwk)', (claims) => rs256(claims, { jwk: publicJwk })),
    forge('RS256 by a key at an address that the token names (jku)', (claims) =>
      rs256(claims, { jku: 'http://127.0.0.1:9/jwks.json', kid: 'a' }),
    ),
    forge('ES256 with a signature of zeros', (claims) => {
      const text = `${part({ alg: 'ES256', typ: 'JWT' })}.${part(claims)}`;
      return `${text}.${Buffer.alloc(64).toString('base64url')}`;
    }),
  ];
}

/** What only the project itself could sign, and should not pass for a session all the same. */
function signedCases(write: CaseWriter): TokenCase[] {
  const { jwtSecret, nowS } = write.scene;
  const id = write.anybody()?.id ?? null;
  const sign = (name: string, make: (secret: string, userId: string) => string) => {
    const missing = { missing: "needs the project's JWT secret" };
    return write.refusedCaller(name, jwtSecret === null || id === null ? missing : make(jwtSecret, id));
  };
  const fresh = { iss: 'supabase', aud: 'authenticated', iat: nowS, exp: nowS + signedLifeS };
  const asRole = (role: unknown) => (secret: string, sub: string) => hs256(secret, { ...fresh, sub, role });
  const asAudience = (aud: unknown) => (secret: string, sub: string) =>
    hs256(secret, { ...fresh, sub, role: 'authenticated', aud });
  return [
    sign('an expired JWT', (secret, sub) => mintUserToken(secret, sub, nowS - 7_200, nowS - signedLifeS)),
    sign('a JWT that is not valid yet', (secret, sub) =>
      hs256(secret, { ...fresh, sub, role: 'authenticated', nbf: nowS + 60, exp: nowS + 60 + signedLifeS }),
    ),
    sign('a valid JWT of an alias', (secret, sub) =>
      mintUserToken(secret, `${sub}#x`, nowS, nowS + signedLifeS),
    ),
    sign('a valid JWT of no user', (secret) => hs256(secret, { ...fresh, role: 'authenticated' })),
    sign('a valid JWT of several users', (secret, sub) =>
      hs256(secret, { ...fresh, role: 'authenticated', sub: [sub] }),
    ),
    sign('a valid JWT with the role anon', asRole('anon')),
    sign('a valid JWT with the role service_role', asRole('service_role')),
    sign('a valid JWT with the role supabase_admin', asRole('supabase_admin')),
    sign('a valid JWT without a role', asRole(undefined)),
    sign('a valid JWT with a list of roles', asRole(['authenticated'])),
    sign('a valid JWT for another audience', asAudience('another-app')),
    sign('a valid JWT for several other audiences', asAudience(['another-app', 'a-third'])),
  ];
}

/** The header itself, bent. */
function headerCases(write: CaseWriter): TokenCase[] {
  const { nowS, people } = write.scene;
  const other = people.speaker?.id ?? '00000000-0000-4000-8000-0000000000ff';
  const forged = hs256(randomBytes(32).toString('hex'), {
    ...{ sub: other, role: 'authenticated', aud: 'authenticated', iat: nowS, exp: nowS + sessionLifeS },
  });
  const basic = Buffer.from(`${other}:x`).toString('base64');
  const own = write.anybody()?.jwt ?? '';
  const header = (name: string, authorization: string) =>
    write.refusedCaller(name, null, { headers: { authorization } });
  return [
    header('Basic in place of Bearer', `Basic ${basic}`),
    header('a forged session behind the own one', `Bearer ${own}, Bearer ${forged}`),
    header('a forged session before the own one', `Bearer ${forged}, Bearer ${own}`),
  ];
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function hs256(secret: string, claims: Claims, header: Record<string, unknown> = {}): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

function unsigned(header: Record<string, unknown>, claims: Claims): string {
  return `${part({ typ: 'JWT', ...header })}.${part(claims)}.`;
}

/** Other claims in a real token that keeps its header and signature. */
function transplanted(jwt: string, claims: Claims): string {
  const [header = '', , signature = ''] = jwt.split('.');
  return `${header}.${part(claims)}.${signature}`;
}

function kidOf(jwk: Claims): Record<string, unknown> {
  return typeof jwk.kid === 'string' ? { kid: jwk.kid } : {};
}

function pemOf(jwk: Claims): string {
  // a JWK of the endpoint's own key set: one that Node cannot read is no key, and was left out before
  return String(
    createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'pem' }),
  );
}
