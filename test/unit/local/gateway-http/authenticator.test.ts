import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { KeyAuthenticator, restLeewayS } from '../../../../src/local/gateway/authenticator.ts';
import { admitApiKey, credentialsOf } from '../../../../src/local/gateway/credentials.ts';
import { mintApiKeys } from '../../../../src/local/gateway/keys.ts';

const secret = 'a secret of at least thirty-two bytes!';
const keys = await mintApiKeys(secret);
const auth = new KeyAuthenticator(secret, keys);
const nowS = Math.floor(Date.now() / 1000);

function jwt(
  payload: object,
  header: object = { alg: 'HS256', typ: 'JWT' },
  key = secret,
  hash = 'sha256',
): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`;
}

describe('JWT', () => {
  test('the legacy keys carry their roles for ten years', async () => {
    const claims = await auth.verifyJwt(keys.serviceRole);
    expect(claims).toMatchObject({ role: 'service_role', iss: 'supabase' });
    expect(claims.exp).toBeGreaterThan(nowS + 9 * 365 * 24 * 3600);
  });

  test.each([
    [
      'alg none',
      `${jwt({ role: 'service_role', exp: nowS + 60 }, { alg: 'none' })
        .split('.')
        .slice(0, 2)
        .join('.')}.`,
    ],
    ['alg none with a signature', jwt({ role: 'service_role', exp: nowS + 60 }, { alg: 'none' })],
    ['alg HS512', jwt({ role: 'service_role', exp: nowS + 60 }, { alg: 'HS512' }, secret, 'sha512')],
    ['alg RS256', jwt({ role: 'service_role', exp: nowS + 60 }, { alg: 'RS256' })],
    [
      'another secret',
      jwt({ role: 'service_role', exp: nowS + 60 }, undefined, 'another secret of thirty-two bytes!!'),
    ],
    [
      'a changed payload',
      keys.anon.replace(/\.[^.]+\./, `.${Buffer.from('{"role":"service_role"}').toString('base64url')}.`),
    ],
    ['no JWT', 'hello'],
    ['nothing', ''],
    ['dots', '..'],
    ['a huge one', `${'a'.repeat(20_000)}.b.c`],
  ])('%s is refused', async (_what, token) => {
    await expect(auth.verifyJwt(token)).rejects.toMatchObject({ status: 401, pgrstCode: 'PGRST301' });
  });

  test('exp and nbf hold at every use, also of a token that was verified before', async () => {
    const expired = jwt({ role: 'anon', exp: nowS - 10 });
    await expect(auth.verifyJwt(expired)).rejects.toMatchObject({
      pgrstCode: 'PGRST303',
      message: 'JWT expired',
    });
    // PostgREST's leeway
    await expect(auth.verifyJwt(expired, restLeewayS)).resolves.toMatchObject({ role: 'anon' });
    await expect(auth.verifyJwt(expired)).rejects.toMatchObject({ message: 'JWT expired' });
    await expect(auth.verifyJwt(jwt({ role: 'anon', exp: nowS - 100 }), restLeewayS)).rejects.toThrow(
      'JWT expired',
    );
    await expect(auth.verifyJwt(jwt({ role: 'anon', nbf: nowS + 100 }), restLeewayS)).rejects.toThrow(
      'not yet valid',
    );
  });

  test('a token without a role is a guest, a role that is no text is refused', async () => {
    await expect(auth.verifyJwt(jwt({ exp: nowS + 60 }))).resolves.toMatchObject({ role: 'anon' });
    await expect(auth.verifyJwt(jwt({ role: ['anon'], exp: nowS + 60 }))).rejects.toMatchObject({
      status: 401,
    });
    await expect(auth.verifyJwt(jwt({ role: 'a\0b', exp: nowS + 60 }))).rejects.toMatchObject({
      status: 401,
    });
  });
});

describe('API keys', () => {
  test('opaque keys stand for the legacy ones; the same secret gives the same keys', async () => {
    await expect(auth.resolveApiKey(keys.publishable)).resolves.toMatchObject({ role: 'anon' });
    await expect(auth.resolveApiKey(keys.secret)).resolves.toMatchObject({ role: 'service_role' });
    await expect(auth.resolveApiKey('sb_secret_wrong')).rejects.toMatchObject({ status: 401 });
    expect((await mintApiKeys(secret)).secret).toBe(keys.secret);
  });

  test('an opaque key as Bearer counts only when it repeats the API key', () => {
    const token = (apikey: string | undefined, bearer: string | undefined) =>
      credentialsOf(
        { ...(apikey ? { apikey } : {}), ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
        '',
        auth,
      ).token;
    expect(token(keys.publishable, keys.publishable)).toBe(keys.anon);
    expect(token(keys.publishable, keys.secret)).toBe(keys.secret);
    expect(token(keys.publishable, 'a.b.c')).toBe('a.b.c');
    expect(token(keys.secret, undefined)).toBe(keys.serviceRole);
    expect(token(keys.anon, undefined)).toBe(keys.anon);
    expect(credentialsOf({}, `apikey=${keys.anon}`, auth).apiKey).toBe(keys.anon);
  });

  test('no key, a wrong key and a secret key in a browser are refused', async () => {
    await expect(admitApiKey(undefined, {}, auth)).rejects.toThrow('No API key found in request');
    await expect(admitApiKey('nonsense', {}, auth)).rejects.toThrow('Invalid API key');
    const browser = { 'user-agent': 'Mozilla/5.0 (X11)' };
    await expect(admitApiKey(keys.secret, browser, auth)).rejects.toThrow('Forbidden use of secret API key');
    await expect(admitApiKey(keys.publishable, browser, auth)).resolves.toBeUndefined();
  });
});
