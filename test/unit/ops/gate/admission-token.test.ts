import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/kernel/redact.ts';
import { tokenVerifier } from '../../../../src/ops/guard/admission-token.ts';

const secret = 'secret-of-the-test-0123456789abcdef';
const verify = await tokenVerifier('key', new Secret(secret));

const base64url = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function sign(header: unknown, payload: unknown, options: { key?: string; hash?: string } = {}): string {
  const signed = `${base64url(header)}.${base64url(payload)}`;
  const mac = createHmac(options.hash ?? 'sha256', options.key ?? secret).update(signed);
  return `${signed}.${mac.digest('base64url')}`;
}

const hs256 = { alg: 'HS256', typ: 'JWT' };
const good = sign(hs256, { iss: 'key', sub: 'x' });

describe('a token of the API key', () => {
  it('is believed, with or without a key id: there is one key', async () => {
    expect(await verify(good)).toEqual({ claims: { iss: 'key', sub: 'x' } });
    expect(await verify(sign({ ...hs256, kid: 'any' }, { iss: 'key' }))).toEqual({ claims: { iss: 'key' } });
  });

  it('keeps __proto__ as a name like any other', async () => {
    const verified = await verify(sign(hs256, '{"iss":"key","__proto__":{"sub":"x"}}'));
    expect('claims' in verified && verified.claims.sub).toBeUndefined();
  });
});

describe('no other is', () => {
  const [header = '', payload = '', mac = ''] = good.split('.');
  it.each<[string, string]>([
    ['another secret', sign(hs256, { iss: 'key' }, { key: 'another' })],
    ['another issuer', sign(hs256, { iss: 'other' })],
    ['no issuer', sign(hs256, { sub: 'x' })],
    ['a list of issuers', sign(hs256, { iss: ['key'] })],
    ['HS512, which LiveKit takes', sign({ alg: 'HS512' }, { iss: 'key' }, { hash: 'sha512' })],
    ['HS512 in the header only', sign({ alg: 'HS512' }, { iss: 'key' })],
    ['none', `${base64url({ alg: 'none' })}.${base64url({ iss: 'key' })}.`],
    ['none with a signature', sign({ alg: 'none' }, { iss: 'key' })],
    ['hs256 in small letters', sign({ alg: 'hs256' }, { iss: 'key' })],
    ['no algorithm', sign({ typ: 'JWT' }, { iss: 'key' })],
    ['a critical extension', sign({ ...hs256, crit: ['b64'], b64: false }, { iss: 'key' })],
    [
      'a key of its own',
      sign({ ...hs256, jwk: { kty: 'oct', k: base64url('mine') } }, { iss: 'key' }, { key: 'mine' }),
    ],
    ['another payload', `${header}.${base64url({ iss: 'key', sub: 'y' })}.${mac}`],
    ['a signature that is cut', good.slice(0, -1)],
    ['white space, which LiveKit strips', `${header}.${payload} .${mac}`],
    ['a line behind it', `${good}\n`],
    ['padding', `${header}=.${payload}.${mac}`],
    ['four parts', `${good}.x`],
    ['two parts', `${header}.${payload}`],
    [
      'the JSON serialization, which LiveKit takes',
      JSON.stringify({ protected: header, payload, signature: mac }),
    ],
    ['a payload that is no object', sign(hs256, '["key"]')],
    ['a payload that is no JSON', sign(hs256, 'iss: key')],
    ['a payload that is no UTF-8', `${header}.${Buffer.from([0xff, 0xfe]).toString('base64url')}.${mac}`],
    ['nothing', ''],
    ['a novel', 'a'.repeat(100_000)],
    ['a long token', sign(hs256, { iss: 'key', name: 'x'.repeat(10_000) })],
  ])('%s', async (_what, token) => {
    const verdict = await verify(token);
    expect(verdict).toMatchObject({ admit: false, status: 401, reason: 'bad_token' });
    // LiveKit repeats the whole token in its answer
    expect(JSON.stringify(verdict)).not.toContain('eyJ');
  });
});
