import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import type pg from 'pg';
import { bcryptMatchesSql } from './auth-queries.sql.ts';

/** 16 MiB and some 40 ms per attempt, off the main thread: as slow as the bcrypt of hosted projects. */
const cost = { N: 16_384, r: 8, p: 1 } as const;
const keyBytes = 32;
const saltBytes = 16;

/** `scrypt$16384$8$1$<salt>$<key>`, both base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  const key = await derive(password, salt, cost);
  return ['scrypt', cost.N, cost.r, cost.p, salt.toString('base64url'), key.toString('base64url')].join('$');
}

/**
 * Whether `password` is the one hashed. Bcrypt hashes, which seed scripts write with pgcrypto's `crypt()`, are
 * checked by pgcrypto.
 */
export async function passwordMatches(
  password: string,
  hash: string,
  client: pg.ClientBase,
): Promise<boolean> {
  if (hash.startsWith('$2')) {
    const { rows } = await client.query<{ matches: boolean }>(bcryptMatchesSql, [password, hash]);
    return rows[0]?.matches === true;
  }
  const [scheme, N, r, p, salt, key] = hash.split('$');
  if (scheme !== 'scrypt' || salt === undefined || key === undefined) return false;
  const expected = Buffer.from(key, 'base64url');
  const options = { N: Number(N), r: Number(r), p: Number(p) };
  const derived = await derive(password, Buffer.from(salt, 'base64url'), options);
  return derived.length === expected.length && timingSafeEqual(derived, expected);
}

function derive(password: string, salt: Buffer, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, keyBytes, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
