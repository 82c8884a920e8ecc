import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { isObject } from '../../../kernel/json-object.ts';
import { AuthError, invalid, userNotFound } from './auth-error.ts';
import {
  findUserByEmailSql,
  findUserByIdSql,
  insertEmailIdentitySql,
  insertUserSql,
  updateEmailIdentitySql,
  updateUserSql,
} from './auth-queries.sql.ts';
import { hashPassword } from './passwords.ts';

export interface UserRow {
  readonly id: string;
  readonly aud: string | null;
  readonly role: string | null;
  readonly email: string | null;
  readonly phone: string | null;
  readonly encrypted_password: string | null;
  readonly email_confirmed_at: Date | null;
  readonly phone_confirmed_at: Date | null;
  readonly confirmed_at: Date | null;
  readonly last_sign_in_at: Date | null;
  readonly raw_app_meta_data: Record<string, unknown> | null;
  readonly raw_user_meta_data: Record<string, unknown> | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly banned_until: Date | null;
  readonly is_anonymous: boolean;
  readonly identities: readonly unknown[];
}

/** A user as the API shows it. */
export function userJson(row: UserRow): Record<string, unknown> {
  return {
    id: row.id,
    aud: row.aud ?? 'authenticated',
    role: row.role ?? 'authenticated',
    email: row.email ?? '',
    ...(row.email_confirmed_at ? { email_confirmed_at: row.email_confirmed_at } : {}),
    phone: row.phone ?? '',
    ...(row.phone_confirmed_at ? { phone_confirmed_at: row.phone_confirmed_at } : {}),
    ...(row.confirmed_at ? { confirmed_at: row.confirmed_at } : {}),
    ...(row.last_sign_in_at ? { last_sign_in_at: row.last_sign_in_at } : {}),
    app_metadata: row.raw_app_meta_data ?? {},
    user_metadata: row.raw_user_meta_data ?? {},
    identities: row.identities,
    created_at: row.created_at,
    updated_at: row.updated_at,
    ...(row.banned_until ? { banned_until: row.banned_until } : {}),
    is_anonymous: row.is_anonymous,
  };
}

export async function findUserById(client: pg.ClientBase, id: string): Promise<UserRow | undefined> {
  return (await client.query<UserRow>(findUserByIdSql, [id])).rows[0];
}

export async function findUserByEmail(client: pg.ClientBase, email: string): Promise<UserRow | undefined> {
  return (await client.query<UserRow>(findUserByEmailSql, [email])).rows[0];
}

export interface NewUser {
  readonly id?: string | undefined;
  readonly email: string | undefined;
  readonly phone?: string | undefined;
  readonly password: string | undefined;
  readonly confirmed: boolean;
  readonly role?: string | undefined;
  readonly userMetadata: Record<string, unknown>;
  readonly appMetadata?: Record<string, unknown> | undefined;
  readonly bannedUntil?: Date | undefined;
}

/**
 * Makes a user with its identity. Triggers on auth.users run in the same transaction; when one fails, nothing is
 * kept and the client reads what hosted says.
 * @throws AuthError 500 unexpected_failure; pg.DatabaseError that `isTaken` knows
 */
export async function insertUser(client: pg.ClientBase, user: NewUser): Promise<UserRow> {
  const id = user.id ?? randomUUID();
  const hash = user.password === undefined ? null : await hashPassword(user.password);
  const confirmedAt = user.confirmed ? new Date() : null;
  const provider = user.email === undefined ? 'phone' : 'email';
  const appMetadata = { provider, providers: [provider], ...user.appMetadata };
  const values = [
    id,
    user.role ?? 'authenticated',
    user.email ?? null,
    hash,
    confirmedAt,
    appMetadata,
    user.userMetadata,
    user.phone ?? null,
    user.bannedUntil ?? null,
  ];
  try {
    await client.query(insertUserSql, values);
  } catch (error) {
    if (isTaken(error)) throw error;
    throw new AuthError(500, 'unexpected_failure', 'Database error saving new user');
  }
  if (user.email !== undefined) {
    const identity = { sub: id, email: user.email, email_verified: user.confirmed, phone_verified: false };
    await client.query(insertEmailIdentitySql, [id, identity]);
  }
  return existing(await findUserById(client, id));
}

/**
 * Whether a user could not be made because its e-mail, phone or id has one, registered at the same moment perhaps.
 * A trigger that runs into a key of the application's own tables fails otherwise: nobody has registered.
 */
export function isTaken(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError &&
    error.code === '23505' &&
    error.schema === 'auth' &&
    error.table === 'users'
  );
}

export interface UserChanges {
  readonly email?: string | undefined;
  readonly phone?: string | undefined;
  readonly password?: string | undefined;
  readonly userMetadata?: Record<string, unknown> | undefined;
  readonly appMetadata?: Record<string, unknown> | undefined;
  readonly role?: string | undefined;
  readonly confirm?: boolean | undefined;
  /** null lifts a ban. */
  readonly bannedUntil?: Date | null | undefined;
}

export async function updateUser(client: pg.ClientBase, id: string, changes: UserChanges): Promise<UserRow> {
  const { bannedUntil } = changes;
  const ban = bannedUntil === undefined ? 'keep' : bannedUntil === null ? 'none' : bannedUntil.toISOString();
  await client.query(updateUserSql, [
    id,
    changes.email ?? null,
    changes.password === undefined ? null : await hashPassword(changes.password),
    changes.userMetadata ?? null,
    changes.appMetadata ?? null,
    changes.role ?? null,
    changes.phone ?? null,
    changes.confirm ? new Date() : null,
    ban,
  ]);
  if (changes.email !== undefined) await client.query(updateEmailIdentitySql, [id, changes.email]);
  return existing(await findUserById(client, id));
}

function existing(row: UserRow | undefined): UserRow {
  if (row === undefined) throw userNotFound();
  return row;
}

/** Lower-cased. @throws AuthError */
export function checkedEmail(value: unknown): string {
  const email = typeof value === 'string' ? value.trim().toLowerCase() : '';
  // what GoTrue's validator asks for in essence; whether mail arrives is not for this gateway to say
  if (email.length > 254 || !/^[^\s@\0]+@[^\s@\0]+\.[^\s@\0]+$/.test(email)) {
    throw invalid('Unable to validate email address: invalid format');
  }
  return email;
}

/** Hosted default. */
const passwordCharsMin = 6;
/** bcrypt, which hosted uses, reads no more. */
const passwordBytesMax = 72;

/** @throws AuthError */
export function checkedPassword(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw invalid('Signup requires a valid password');
  if (value.length < passwordCharsMin) {
    const message = `Password should be at least ${passwordCharsMin} characters.`;
    throw new AuthError(422, 'weak_password', message, { weak_password: { reasons: ['length'] } });
  }
  if (Buffer.byteLength(value) > passwordBytesMax) {
    throw invalid(`Password cannot be longer than ${passwordBytesMax} characters`);
  }
  return value;
}

/** An object, or empty when it is not given. PostgreSQL's jsonb holds no NUL. @throws AuthError */
export function checkedMetadata(value: unknown, name: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid(`${name} must be an object`);
  if (JSON.stringify(value).includes('\\u0000')) throw invalid(`${name} must not contain NUL characters`);
  return value;
}
