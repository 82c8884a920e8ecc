import { randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type pg from 'pg';
import { AuthError } from './auth-error.ts';
import {
  activeRefreshTokenSql,
  insertRefreshTokenSql,
  insertSessionSql,
  lockRefreshTokenSql,
  revokeRefreshTokenSql,
  revokeSessionTokensSql,
  touchSessionSql,
  touchSignInSql,
} from './auth-queries.sql.ts';
import { findUserById, type UserRow, userJson } from './users.ts';

/** Hosted defaults: an access token lives an hour, a refresh token used twice within 10 s is a retry and no theft. */
const accessTokenS = 3600;
const reuseS = 10;

/** Where a session came from. */
export interface SessionOrigin {
  readonly userAgent: string | undefined;
}

/** Makes sessions and their tokens. */
export class SessionIssuer {
  readonly #key: Uint8Array;
  readonly #issuer: string;

  /** @param issuer `https://…/auth/v1` */
  constructor(jwtSecret: string, issuer: string) {
    this.#key = new TextEncoder().encode(jwtSecret);
    this.#issuer = issuer;
  }

  /** A new session by password; the answer of sign-up and sign-in. */
  async start(client: pg.ClientBase, user: UserRow, origin: SessionOrigin): Promise<Record<string, unknown>> {
    const sessionId = randomUUID();
    await client.query(touchSignInSql, [user.id]);
    await client.query(insertSessionSql, [sessionId, user.id, origin.userAgent ?? null, '127.0.0.1']);
    const refreshToken = await this.#newRefreshToken(client, user.id, sessionId, null);
    return this.#answer({ ...user, last_sign_in_at: new Date() }, sessionId, refreshToken);
  }

  /**
   * Trades a refresh token for a new pair. A token used again after the reuse interval is taken for stolen: the
   * whole session ends.
   * @returns the answer, or the refusal, which must be thrown after the transaction is committed
   */
  async refresh(client: pg.ClientBase, token: string): Promise<Record<string, unknown> | AuthError> {
    const found = await client.query<{
      user_id: string;
      session_id: string;
      revoked: boolean;
      age_s: number;
    }>(lockRefreshTokenSql, [token]);
    const [row] = found.rows;
    const user = row && (await findUserById(client, row.user_id));
    if (!row || !user) {
      return new AuthError(400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found');
    }
    refuseBanned(user);
    const next = row.revoked
      ? await this.#tokenAfterReuse(client, row.session_id, row.age_s)
      : await this.#rotate(client, token, user.id, row.session_id);
    if (next instanceof AuthError) return next;
    await client.query(touchSessionSql, [row.session_id]);
    return this.#answer(user, row.session_id, next);
  }

  async #rotate(client: pg.ClientBase, token: string, userId: string, sessionId: string): Promise<string> {
    await client.query(revokeRefreshTokenSql, [token]);
    return this.#newRefreshToken(client, userId, sessionId, token);
  }

  async #tokenAfterReuse(
    client: pg.ClientBase,
    sessionId: string,
    ageS: number,
  ): Promise<string | AuthError> {
    const active = await client.query<{ token: string }>(activeRefreshTokenSql, [sessionId]);
    const [row] = active.rows;
    if (row && ageS <= reuseS) return row.token;
    await client.query(revokeSessionTokensSql, [sessionId]);
    return new AuthError(400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used');
  }

  async #newRefreshToken(
    client: pg.ClientBase,
    userId: string,
    sessionId: string,
    parent: string | null,
  ): Promise<string> {
    const token = randomBytes(12).toString('base64url');
    await client.query(insertRefreshTokenSql, [token, userId, parent, sessionId]);
    return token;
  }

  async #answer(user: UserRow, sessionId: string, refreshToken: string): Promise<Record<string, unknown>> {
    const nowS = Math.floor(Date.now() / 1000);
    const expiresAt = nowS + accessTokenS;
    const accessToken = await new SignJWT({
      aud: user.aud ?? 'authenticated',
      email: user.email ?? '',
      phone: user.phone ?? '',
      app_metadata: user.raw_app_meta_data ?? {},
      user_metadata: user.raw_user_meta_data ?? {},
      role: user.role ?? 'authenticated',
      aal: 'aal1',
      amr: [{ method: 'password', timestamp: nowS }],
      session_id: sessionId,
      is_anonymous: user.is_anonymous,
    })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(this.#issuer)
      .setSubject(user.id)
      .setIssuedAt(nowS)
      .setExpirationTime(expiresAt)
      .sign(this.#key);
    return {
      access_token: accessToken,
      token_type: 'bearer',
      expires_in: accessTokenS,
      expires_at: expiresAt,
      refresh_token: refreshToken,
      user: userJson(user),
    };
  }
}

/** @throws AuthError user_banned */
export function refuseBanned(user: UserRow): void {
  if (user.banned_until !== null && user.banned_until.getTime() > Date.now()) {
    throw new AuthError(400, 'user_banned', 'User is banned');
  }
}
