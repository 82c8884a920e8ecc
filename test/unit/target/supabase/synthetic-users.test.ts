import { jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { mintUserToken } from '../../../../src/target/supabase/synthetic-users.ts';

test('a minted token verifies with the secret and is that of a signed-in user', async () => {
  const secret = 'a-secret-of-at-least-thirty-two-bytes!!';
  const nowS = Math.floor(Date.now() / 1000);
  const token = mintUserToken(secret, '6f1d5a0e-0000-4000-8000-000000000001', nowS, nowS + 60);
  const { payload, protectedHeader } = await jwtVerify(token, Buffer.from(secret));
  expect(protectedHeader.alg).toBe('HS256');
  expect(payload).toMatchObject({
    sub: '6f1d5a0e-0000-4000-8000-000000000001',
    role: 'authenticated',
    aud: 'authenticated',
    exp: nowS + 60,
  });
  await expect(jwtVerify(token, Buffer.from(`${secret}x`))).rejects.toThrow();
});
