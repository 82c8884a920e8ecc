import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { messageOf } from '../../../kernel/errors.ts';
import type { Logger } from '../../../kernel/log.ts';
import { packageVersion } from '../../../kernel/package-root.ts';
import type { KeyAuthenticator } from '../authenticator.ts';
import { AuthRefusal, type Claims } from '../context.ts';
import { AdminRoutes } from './admin-routes.ts';
import { AuthError, emailExists, invalid } from './auth-error.ts';
import { type AuthAnswer, type AuthInput, ok } from './auth-exchange.ts';
import { becomeAuthAdminSql, deleteSessionsSql, findSessionSql } from './auth-queries.sql.ts';
import { hashPassword, passwordMatches } from './passwords.ts';
import { readObject, uuidPattern } from './request-body.ts';
import { refuseBanned, SessionIssuer, type SessionOrigin } from './sessions.ts';
import {
  checkedEmail,
  checkedMetadata,
  checkedPassword,
  findUserByEmail,
  findUserById,
  insertUser,
  isTaken,
  type UserRow,
  updateUser,
  userJson,
} from './users.ts';

interface Parts {
  /** As the superuser; every transaction steps down to `supabase_auth_admin`. */
  readonly pool: pg.Pool;
  readonly auth: KeyAuthenticator;
  readonly jwtSecret: string;
  /** Of the gateway. */
  readonly url: string;
  readonly log: Logger;
}

const apiVersion = '2024-01-01';
const versionHeader = 'X-Supabase-Api-Version';

/** `/auth/v1`: e-mail and password with auto-confirmation, refresh, user, logout, user administration. */
export class AuthHandler {
  readonly #parts: Parts;
  readonly #sessions: SessionIssuer;
  readonly #admin: AdminRoutes;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#sessions = new SessionIssuer(parts.jwtSecret, `${parts.url}/auth/v1`);
    this.#admin = new AdminRoutes((work) => this.#transaction(work));
  }

  /** Routes hosted serves without an API key. */
  isOpen(path: string): boolean {
    return path === '/.well-known/jwks.json' || path === '/health';
  }

  /** Never throws for what a client can cause. */
  async handle(input: AuthInput): Promise<AuthAnswer> {
    const isCurrent = input.headers['x-supabase-api-version'] === apiVersion;
    const headers: Record<string, string> = isCurrent ? { [versionHeader]: apiVersion } : {};
    try {
      const answer = await this.#route(input);
      return { ...answer, headers: { ...headers, ...answer.headers } };
    } catch (error) {
      const refusal = this.#refusalOf(error);
      return { status: refusal.status, headers, body: refusal.body(isCurrent) };
    }
  }

  #refusalOf(error: unknown): AuthError {
    if (error instanceof AuthError) return error;
    if (error instanceof AuthRefusal) {
      return new AuthError(
        403,
        'bad_jwt',
        `invalid JWT: unable to parse or verify signature, ${error.message}`,
      );
    }
    this.#parts.log.error('auth request failed', { error: messageOf(error) });
    return new AuthError(
      500,
      'unexpected_failure',
      'Unexpected failure, please check server logs for more information',
    );
  }

  async #route(input: AuthInput): Promise<AuthAnswer> {
    const { method, path } = input;
    if (path.startsWith('/admin/')) {
      await this.#requireServiceRole(input);
      return this.#admin.handle(input);
    }
    switch (`${method} ${path}`) {
      case 'POST /signup':
        return ok(await this.#signUp(input));
      case 'POST /token':
        return ok(await this.#token(input));
      case 'GET /user':
        return ok(
          userJson(await this.#transaction(async (client) => (await this.#caller(input, client)).user)),
        );
      case 'PUT /user':
        return ok(await this.#changeUser(input));
      case 'POST /logout':
        return this.#logOut(input);
      case 'GET /settings':
        return ok(settings);
      case 'GET /health':
        return ok({
          name: 'GoTrue',
          version: `trollfix-${packageVersion()}`,
          description: 'GoTrue is a user registration and authentication API',
        });
      case 'GET /.well-known/jwks.json':
        // an HS256 project publishes no key
        return ok({ keys: [] });
      default:
        return refuseUnknown(method, path);
    }
  }

  async #signUp(input: AuthInput): Promise<unknown> {
    const body = readObject(input.body);
    if (body.email === undefined && body.phone === undefined && body.password === undefined) {
      throw new AuthError(422, 'anonymous_provider_disabled', 'Anonymous sign-ins are disabled');
    }
    if (body.email === undefined || body.email === '') {
      throw new AuthError(400, 'phone_provider_disabled', 'Phone signups are disabled');
    }
    const email = checkedEmail(body.email);
    const password = checkedPassword(body.password);
    const id = randomUUID();
    const userMetadata = {
      ...checkedMetadata(body.data, 'data'),
      // what GoTrue's e-mail identity adds
      ...{ sub: id, email, email_verified: true, phone_verified: false },
    };
    return this.#transaction(async (client) => {
      const exists = () => new AuthError(422, 'user_already_exists', 'User already registered');
      if (await findUserByEmail(client, email)) throw exists();
      const user = await insertUser(client, { id, email, password, confirmed: true, userMetadata }).catch(
        (error: unknown) => {
          // two sign-ups at once: the index lets one pass
          throw isTaken(error) ? exists() : error;
        },
      );
      return this.#sessions.start(client, user, originOf(input));
    });
  }

  async #token(input: AuthInput): Promise<unknown> {
    const grant = new URLSearchParams(input.query).get('grant_type');
    const body = readObject(input.body);
    if (grant === 'password') return this.#passwordGrant(body, input);
    if (grant !== 'refresh_token') {
      throw new AuthError(400, 'unsupported_grant_type', 'unsupported_grant_type');
    }
    const token = body.refresh_token;
    if (typeof token !== 'string' || token === '' || token.includes('\0')) {
      throw invalid('refresh_token required');
    }
    const result = await this.#transaction((client) => this.#sessions.refresh(client, token));
    if (result instanceof AuthError) throw result;
    return result;
  }

  async #passwordGrant(body: Record<string, unknown>, input: AuthInput): Promise<unknown> {
    const { email, password } = body;
    if (typeof email !== 'string' || email === '') throw invalid('missing email or phone');
    if (typeof password !== 'string') throw invalid('missing password');
    const refused = new AuthError(400, 'invalid_credentials', 'Invalid login credentials');
    if (email.includes('\0') || password.includes('\0')) throw refused;
    return this.#transaction(async (client) => {
      const user = await findUserByEmail(client, email.trim().toLowerCase());
      if (!user?.encrypted_password) {
        // as slow as a wrong password: the time must not tell who is registered
        await hashPassword(password);
        throw refused;
      }
      if (!(await passwordMatches(password, user.encrypted_password, client))) throw refused;
      refuseBanned(user);
      if (user.email_confirmed_at === null) {
        throw new AuthError(400, 'email_not_confirmed', 'Email not confirmed');
      }
      return this.#sessions.start(client, user, originOf(input));
    });
  }

  async #changeUser(input: AuthInput): Promise<unknown> {
    const body = readObject(input.body);
    const email = body.email === undefined ? undefined : checkedEmail(body.email);
    const password = body.password === undefined ? undefined : checkedPassword(body.password);
    const userMetadata = body.data === undefined ? undefined : checkedMetadata(body.data, 'data');
    return this.#transaction(async (client) => {
      const { user } = await this.#caller(input, client);
      if (email !== undefined && email !== user.email && (await findUserByEmail(client, email))) {
        throw emailExists();
      }
      if (
        password !== undefined &&
        user.encrypted_password !== null &&
        (await passwordMatches(password, user.encrypted_password, client))
      ) {
        throw new AuthError(422, 'same_password', 'New password should be different from the old password.');
      }
      return userJson(await updateUser(client, user.id, { email, password, userMetadata }));
    });
  }

  async #logOut(input: AuthInput): Promise<AuthAnswer> {
    const scope = new URLSearchParams(input.query).get('scope') ?? 'global';
    if (!['global', 'local', 'others'].includes(scope)) throw invalid(`Unsupported logout scope "${scope}"`);
    await this.#transaction(async (client) => {
      const { user, claims } = await this.#caller(input, client);
      await client.query(deleteSessionsSql, [user.id, sessionIdOf(claims), scope]);
    });
    return { status: 204, headers: {}, body: undefined };
  }

  /** Who the access token speaks for, with the session still alive. @throws AuthError, AuthRefusal */
  async #caller(input: AuthInput, client: pg.ClientBase): Promise<{ user: UserRow; claims: Claims }> {
    const claims = await this.#claims(input);
    if (claims.sub === undefined) throw new AuthError(403, 'bad_jwt', 'invalid claim: missing sub claim');
    if (!uuidPattern.test(claims.sub)) {
      throw new AuthError(403, 'bad_jwt', 'invalid claim: sub claim must be a UUID');
    }
    const user = await findUserById(client, claims.sub);
    if (!user) throw new AuthError(403, 'user_not_found', 'User from sub claim in JWT does not exist');
    const sessionId = sessionIdOf(claims);
    if (sessionId !== null) {
      const { rowCount } = await client.query(findSessionSql, [sessionId, user.id]);
      if (rowCount === 0) {
        throw new AuthError(403, 'session_not_found', 'Session from session_id claim in JWT does not exist');
      }
    }
    return { user, claims };
  }

  async #claims(input: AuthInput): Promise<Claims> {
    if (input.token === undefined) {
      throw new AuthError(401, 'no_authorization', 'This endpoint requires a valid Bearer token');
    }
    return this.#parts.auth.verifyJwt(input.token);
  }

  async #requireServiceRole(input: AuthInput): Promise<void> {
    const { role } = await this.#claims(input);
    if (role !== 'service_role' && role !== 'supabase_admin') {
      throw new AuthError(403, 'not_admin', 'User not allowed');
    }
  }

  async #transaction<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
    const client = await this.#parts.pool.connect();
    let broken = true;
    try {
      await client.query('begin');
      await client.query(becomeAuthAdminSql);
      const result = await work(client);
      await client.query('commit');
      broken = false;
      return result;
    } catch (error) {
      broken = !(await client.query('rollback').then(
        () => true,
        () => false,
      ));
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

function sessionIdOf(claims: Claims): string | null {
  const id = claims.session_id;
  return typeof id === 'string' && uuidPattern.test(id) ? id : null;
}

function originOf(input: AuthInput): SessionOrigin {
  return { userAgent: input.headers['user-agent']?.slice(0, 500) };
}

const mailRoutes = ['/otp', '/magiclink', '/recover', '/resend', '/invite', '/verify', '/reauthenticate'];

/** @throws AuthError always */
function refuseUnknown(method: string, path: string): never {
  if (mailRoutes.includes(path)) {
    throw new AuthError(
      422,
      'email_provider_disabled',
      'The embedded gateway sends no mail: sign up with e-mail and password, which is confirmed at once',
    );
  }
  throw new AuthError(404, 'not_found', `no route ${method} ${path}`);
}

const settings = {
  external: { anonymous_users: false, email: true, phone: false },
  disable_signup: false,
  mailer_autoconfirm: true,
  phone_autoconfirm: false,
  sms_provider: '',
  saml_enabled: false,
};
