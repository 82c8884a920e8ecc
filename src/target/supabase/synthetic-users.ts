import { createHmac, randomBytes } from 'node:crypto';
import { mapBounded } from '../../kernel/bounded-map.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { isObject } from './realtime-frames.ts';
import type { SupabaseRest } from './rest.ts';

/** A user of a run: a row of `create_synthetic_run`, with the JWT it acts under. */
export interface SyntheticUser {
  readonly id: string;
  readonly username: string;
  readonly token: string;
}

/** Users go through GoTrue one by one; more than this many at once meets its rate limits. */
const usersAtOnce = 8;

/**
 * A JWT as GoTrue gives a signed-in user (HS256).
 * @param expiresAtS seconds since the epoch
 */
export function mintUserToken(
  jwtSecret: string,
  userId: string,
  issuedAtS: number,
  expiresAtS: number,
): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'supabase',
    sub: userId,
    aud: 'authenticated',
    role: 'authenticated',
    iat: issuedAtS,
    exp: expiresAtS,
    is_anonymous: false,
  };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', jwtSecret).update(signed).digest('base64url')}`;
}

/**
 * Signs users up through GoTrue's admin API and signs them in, for targets whose signing key is not ours.
 * The ids are those of the profiles that exist already. When it fails, those signed up so far are removed again.
 * @param service a client with the service-role key
 * @throws TF-SUP-002 when the key may not, TF-SUP-003 when GoTrue refuses or takes another id
 */
export async function signUpUsers(
  service: SupabaseRest,
  users: ReadonlyArray<{ readonly id: string; readonly username: string }>,
  runId: string,
  signal: AbortSignal,
): Promise<SyntheticUser[]> {
  const begun: Array<{ readonly id: string }> = [];
  try {
    return await mapBounded(users, usersAtOnce, async (user) => {
      signal.throwIfAborted();
      begun.push(user);
      return signUp(service, user, runId);
    });
  } catch (error) {
    // nobody else knows that they are there
    await deleteUsers(service, begun);
    throw error;
  }
}

/**
 * Removes users that {@link signUpUsers} made. Rows of the app are the purge's business.
 * @returns how many could not be removed
 */
export async function deleteUsers(
  service: SupabaseRest,
  users: ReadonlyArray<{ readonly id: string }>,
): Promise<number> {
  const answers = await mapBounded(users, usersAtOnce, ({ id }) =>
    service.request('DELETE', `/auth/v1/admin/users/${id}`),
  );
  // 404: not there, which is what is wanted
  return answers.filter(({ status }) => status !== 404 && (status < 200 || status >= 300)).length;
}

async function signUp(
  service: SupabaseRest,
  user: { readonly id: string; readonly username: string },
  runId: string,
): Promise<SyntheticUser> {
  // .invalid never resolves (RFC 2606): no mail can leave, whatever the project's settings
  const email = `${user.id}@trollfix.invalid`;
  const password = randomBytes(24).toString('base64url');
  const created = await service.json('POST', '/auth/v1/admin/users', {
    id: user.id,
    email,
    password,
    email_confirm: true,
    app_metadata: { run_id: runId },
    user_metadata: { username: user.username },
  });
  if (!isObject(created) || created.id !== user.id) {
    throw new TrollfixError('TF-SUP-003', 'GoTrue gave the new user another id than asked for', {
      hint: 'Configure the JWT secret of the target, so that users can be minted instead.',
    });
  }
  const session = await service.json('POST', '/auth/v1/token?grant_type=password', { email, password });
  if (!isObject(session) || typeof session.access_token !== 'string') {
    throw new TrollfixError('TF-SUP-003', 'GoTrue gave no access token for a new user');
  }
  return { ...user, token: session.access_token };
}
