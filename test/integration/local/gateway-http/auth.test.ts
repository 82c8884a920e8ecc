import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayFixture, jsonObject, startGatewayFixture } from './gateway-fixture.ts';

let f: GatewayFixture;

beforeAll(async () => {
  f = await startGatewayFixture();
  await f.owner.query(`
    create table public.people (id uuid primary key references auth.users (id) on delete cascade, nick text);
    create function public.on_user() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      if new.email like 'refused@%' then raise exception 'not you'; end if;
      insert into public.people values (new.id, new.raw_user_meta_data ->> 'nick');
      return new;
    end $$;
    create trigger on_user after insert on auth.users for each row execute function public.on_user();
  `);
});
afterAll(() => f?.stop());

const client = (key = f.keys.publishable) => f.client(key);
const admin = () => f.client(f.keys.secret).auth.admin;
let serial = 0;
const newEmail = () => `user${++serial}@example.com`;

async function signedUp(password = 'secret-1') {
  const supabase = client();
  const email = newEmail();
  const { data, error } = await supabase.auth.signUp({ email, password });
  if (error || !data.user || !data.session) throw error ?? new Error('no session');
  return { supabase, email, password, user: data.user, session: data.session };
}

describe('sign-up', () => {
  test('gives a confirmed user and a session at once, and runs the triggers of the application', async () => {
    const supabase = client();
    const { data, error } = await supabase.auth.signUp({
      email: 'Ann@Example.com',
      password: 'secret-1',
      options: { data: { nick: 'ann' } },
    });
    expect(error).toBeNull();
    expect(data.user).toMatchObject({
      email: 'ann@example.com',
      role: 'authenticated',
      aud: 'authenticated',
      app_metadata: { provider: 'email', providers: ['email'] },
      user_metadata: { nick: 'ann', email: 'ann@example.com' },
      identities: [{ provider: 'email' }],
    });
    const claims = decodeJwt(data.session?.access_token ?? '');
    expect(claims).toMatchObject({
      sub: data.user?.id,
      role: 'authenticated',
      aud: 'authenticated',
      email: 'ann@example.com',
      iss: `${f.gateway.url}/auth/v1`,
      aal: 'aal1',
      session_id: expect.any(String),
      is_anonymous: false,
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(3600);
    const { rows } = await f.owner.query('select nick from public.people where id = $1', [data.user?.id]);
    expect(rows).toEqual([{ nick: 'ann' }]);
  });

  test('passwords are kept as scrypt hashes only', async () => {
    const { user } = await signedUp('a very secret one');
    const { rows } = await f.admin.query('select * from auth.users where id = $1', [user.id]);
    expect(rows[0].encrypted_password).toMatch(/^scrypt\$/);
    expect(JSON.stringify(rows)).not.toContain('a very secret one');
  });

  test('of two sign-ups at once one passes', async () => {
    const email = newEmail();
    const results = await Promise.all(
      [1, 2, 3].map(() => client().auth.signUp({ email, password: 'secret-1' })),
    );
    expect(results.filter(({ error }) => error === null)).toHaveLength(1);
    expect(results.flatMap(({ error }) => (error ? [error.code] : []))).toEqual([
      'user_already_exists',
      'user_already_exists',
    ]);
  });

  test.each([
    ['a known address', 'ann@example.com', 'secret-1', 422, 'user_already_exists'],
    ['a weak password', 'weak@example.com', '123', 422, 'weak_password'],
    ['a password that is too long', 'long@example.com', 'x'.repeat(80), 400, 'validation_failed'],
    ['no address', 'nonsense', 'secret-1', 400, 'validation_failed'],
    ['a trigger that refuses', 'refused@example.com', 'secret-1', 500, undefined],
  ])('%s is refused', async (_what, email, password, status, code) => {
    const { error } = await client().auth.signUp({ email, password });
    expect({ status: error?.status, code: error?.code }).toEqual({ status, code });
    if (email.startsWith('refused')) expect(error?.message).toBe('Database error saving new user');
  });

  test('a failure of the application or the database is not said to be a known address', async () => {
    await f.owner.query('alter table public.people add constraint people_nick unique (nick)');
    const signUp = (nick: string) =>
      client().auth.signUp({ email: newEmail(), password: 'secret-1', options: { data: { nick } } });
    expect((await signUp('the one')).error).toBeNull();
    expect((await signUp('the one')).error).toMatchObject({
      status: 500,
      message: 'Database error saving new user',
    });
    await f.admin.query(`create function public.no_identity() returns trigger language plpgsql as
        $$ begin raise exception 'no room'; end $$;
      create trigger no_identity before insert on auth.identities execute function public.no_identity()`);
    try {
      expect((await signUp('another')).error).toMatchObject({
        status: 500,
        message: 'Unexpected failure, please check server logs for more information',
      });
    } finally {
      await f.admin.query('drop trigger no_identity on auth.identities');
    }
  });

  test('anonymous and phone sign-ups, and everything that sends mail, are refused clearly', async () => {
    expect((await client().auth.signInAnonymously()).error).toMatchObject({
      status: 422,
      code: 'anonymous_provider_disabled',
    });
    expect((await client().auth.signUp({ phone: '123', password: 'secret-1' })).error?.code).toBe(
      'phone_provider_disabled',
    );
    expect((await client().auth.signInWithOtp({ email: newEmail() })).error?.code).toBe(
      'email_provider_disabled',
    );
    expect((await client().auth.resetPasswordForEmail(newEmail())).error?.code).toBe(
      'email_provider_disabled',
    );
  });
});

describe('sign-in', () => {
  test('by password; a wrong one and an unknown user read the same', async () => {
    const { email, password, user } = await signedUp();
    const { data } = await client().auth.signInWithPassword({ email, password });
    expect(data.user?.id).toBe(user.id);
    const wrong = await client().auth.signInWithPassword({ email, password: 'wrong-1' });
    const unknown = await client().auth.signInWithPassword({ email: 'who@example.com', password });
    for (const { error } of [wrong, unknown]) {
      expect(error).toMatchObject({
        status: 400,
        code: 'invalid_credentials',
        message: 'Invalid login credentials',
      });
    }
  });

  test("users seeded with pgcrypto's bcrypt can sign in", async () => {
    const email = newEmail();
    await f.admin.query(
      `insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at)
       values (gen_random_uuid(), 'authenticated', 'authenticated', $1, extensions.crypt('seeded-1', extensions.gen_salt('bf', 4)), now(), now(), now())`,
      [email],
    );
    expect((await client().auth.signInWithPassword({ email, password: 'seeded-1' })).error).toBeNull();
    expect((await client().auth.signInWithPassword({ email, password: 'seeded-2' })).error?.code).toBe(
      'invalid_credentials',
    );
  });

  test('the session works on data', async () => {
    const { supabase, user } = await signedUp();
    await f.owner.query(`alter table public.people enable row level security;
      drop policy if exists own on public.people;
      create policy own on public.people to authenticated using (id = auth.uid())`);
    expect((await supabase.from('people').select('id')).data).toEqual([{ id: user.id }]);
    expect((await client().from('people').select('id')).data).toEqual([]);
  });
});

describe('refresh', () => {
  test('rotates; a token used again at once is a retry, later it ends the session', async () => {
    const { supabase, session } = await signedUp();
    const refresh = (refresh_token: string) => client().auth.refreshSession({ refresh_token });
    const first = await refresh(session.refresh_token);
    expect(first.error).toBeNull();
    expect(first.data.session?.refresh_token).not.toBe(session.refresh_token);
    const retried = await refresh(session.refresh_token);
    expect(retried.data.session?.refresh_token).toBe(first.data.session?.refresh_token);
    await f.admin.query(
      "update auth.refresh_tokens set updated_at = now() - interval '1 minute' where token = $1",
      [session.refresh_token],
    );
    const stolen = await refresh(session.refresh_token);
    expect(stolen.error).toMatchObject({ status: 400, code: 'refresh_token_already_used' });
    const chain = await refresh(first.data.session?.refresh_token ?? '');
    expect(chain.error?.code).toBe('refresh_token_already_used');
    expect((await supabase.auth.getUser()).error).toBeNull();
  });

  test('concurrent refreshes of one token agree on one successor', async () => {
    const { session } = await signedUp();
    const all = await Promise.all(
      [1, 2, 3, 4].map(() => client().auth.refreshSession({ refresh_token: session.refresh_token })),
    );
    expect(all.map(({ error }) => error)).toEqual([null, null, null, null]);
    expect(new Set(all.map(({ data }) => data.session?.refresh_token)).size).toBe(1);
  });

  test('an unknown token and an unknown grant', async () => {
    const unknown = await client().auth.refreshSession({ refresh_token: 'nonsense' });
    expect(unknown.error).toMatchObject({ status: 400, code: 'refresh_token_not_found' });
    const grant = await f.fetch('/auth/v1/token?grant_type=magic', { method: 'POST', body: '{}' });
    expect(grant.status).toBe(400);
  });
});

describe('user and logout', () => {
  test('reads and changes the user', async () => {
    const { supabase, password } = await signedUp();
    const changed = await supabase.auth.updateUser({
      data: { nick: 'new' },
      password: 'secret-2',
      email: 'Moved@example.com',
    });
    expect(changed.data.user).toMatchObject({ email: 'moved@example.com', user_metadata: { nick: 'new' } });
    expect((await supabase.auth.getUser()).data.user?.email).toBe('moved@example.com');
    expect(
      (await client().auth.signInWithPassword({ email: 'moved@example.com', password })).error?.code,
    ).toBe('invalid_credentials');
    expect(
      (await client().auth.signInWithPassword({ email: 'moved@example.com', password: 'secret-2' })).error,
    ).toBeNull();
    expect((await supabase.auth.updateUser({ password: 'secret-2' })).error?.code).toBe('same_password');
    expect((await supabase.auth.updateUser({ email: 'ann@example.com' })).error?.code).toBe('email_exists');
  });

  test('after a logout neither the refresh token nor the session works', async () => {
    const { supabase, session } = await signedUp();
    expect((await supabase.auth.signOut()).error).toBeNull();
    expect((await client().auth.refreshSession({ refresh_token: session.refresh_token })).error?.code).toBe(
      'refresh_token_not_found',
    );
    const user = await f.fetch('/auth/v1/user', {
      headers: { Authorization: `Bearer ${session.access_token}` },
    });
    expect({ status: user.status, ...(await jsonObject(user)) }).toMatchObject({
      status: 403,
      error_code: 'session_not_found',
    });
  });

  test('logout of the others keeps this session', async () => {
    const { supabase, email, password, session } = await signedUp();
    const other = client();
    await other.auth.signInWithPassword({ email, password });
    await other.auth.signOut({ scope: 'others' });
    expect((await other.auth.getUser()).error).toBeNull();
    expect((await supabase.auth.getUser(session.access_token)).error?.name).toBe('AuthSessionMissingError');
  });

  test("tokens that are no user's", async () => {
    const answer = async (headers: Record<string, string>) => {
      const response = await f.fetch('/auth/v1/user', {
        headers: { 'X-Supabase-Api-Version': '2024-01-01', ...headers },
      });
      return {
        status: response.status,
        code: (await jsonObject(response)).code,
        version: response.headers.get('x-supabase-api-version'),
      };
    };
    expect(await answer({})).toEqual({ status: 403, code: 'bad_jwt', version: '2024-01-01' });
    expect(await answer({ Authorization: 'Bearer a.b.c' })).toMatchObject({ status: 403, code: 'bad_jwt' });
    expect(await answer({ Authorization: `Bearer ${f.keys.anon}` })).toMatchObject({
      status: 403,
      code: 'bad_jwt',
    });
  });
});

describe('administration', () => {
  test('creates, finds, lists, changes, bans and deletes', async () => {
    const id = randomUUID();
    const email = newEmail();
    const created = await admin().createUser({
      id,
      email,
      password: 'secret-1',
      email_confirm: true,
      user_metadata: { nick: 'made' },
      app_metadata: { plan: 'pro' },
    });
    expect(created.data.user).toMatchObject({
      id,
      email,
      user_metadata: { nick: 'made' },
      app_metadata: { plan: 'pro', provider: 'email' },
    });
    expect((await admin().getUserById(id)).data.user?.email).toBe(email);
    expect((await admin().createUser({ email, password: 'secret-1' })).error).toMatchObject({
      status: 422,
      code: 'email_exists',
    });
    expect((await client().auth.signInWithPassword({ email, password: 'secret-1' })).error).toBeNull();
    await admin().updateUserById(id, { ban_duration: '24h' });
    expect((await client().auth.signInWithPassword({ email, password: 'secret-1' })).error?.code).toBe(
      'user_banned',
    );
    await admin().updateUserById(id, {
      ban_duration: 'none',
      password: 'secret-2',
      app_metadata: { plan: 'free' },
    });
    const signedIn = await client().auth.signInWithPassword({ email, password: 'secret-2' });
    expect(signedIn.data.user?.app_metadata.plan).toBe('free');
    expect((await admin().deleteUser(id)).error).toBeNull();
    expect((await admin().getUserById(id)).error).toMatchObject({ status: 404, code: 'user_not_found' });
    expect((await admin().deleteUser(id)).error?.code).toBe('user_not_found');
    expect((await f.owner.query('select 1 from public.people where id = $1', [id])).rows).toEqual([]);
  });

  test('an unconfirmed user cannot sign in; a soft delete keeps the row', async () => {
    const email = newEmail();
    const { data } = await admin().createUser({ email, password: 'secret-1' });
    expect((await client().auth.signInWithPassword({ email, password: 'secret-1' })).error?.code).toBe(
      'email_not_confirmed',
    );
    const id = data.user?.id ?? '';
    await admin().deleteUser(id, true);
    expect((await admin().getUserById(id)).error?.code).toBe('user_not_found');
    expect((await f.admin.query('select 1 from auth.users where id = $1', [id])).rowCount).toBe(1);
  });

  test('lists by pages', async () => {
    const page = await admin().listUsers({ page: 1, perPage: 2 });
    expect(page.data.users).toHaveLength(2);
    expect(page.data).toMatchObject({ aud: 'authenticated', nextPage: 2 });
    const next = await admin().listUsers({ page: 2, perPage: 2 });
    expect(next.data.users[0]?.id).not.toBe(page.data.users[0]?.id);
  });

  test('is for the service role only', async () => {
    const { supabase } = await signedUp();
    for (const caller of [supabase, client()]) {
      const { error } = await caller.auth.admin.listUsers();
      expect(error).toMatchObject({ status: 403, code: 'not_admin' });
    }
    expect((await admin().getUserById(randomUUID())).error?.status).toBe(404);
    expect((await f.fetch('/auth/v1/admin/users/nonsense', { key: f.keys.secret })).status).toBe(404);
  });

  test('odd input is refused, not a failure', async () => {
    const post = (body: unknown) =>
      f.fetch('/auth/v1/admin/users', {
        method: 'POST',
        key: f.keys.secret,
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    const statuses = await Promise.all(
      [
        '{',
        '[]',
        '',
        { email: 5 },
        { email: 'a\0b@x.io' },
        { email: newEmail(), user_metadata: { a: '\0' } },
        { email: newEmail(), user_metadata: [] },
        { email: newEmail(), ban_duration: 'soon' },
        { email: newEmail(), id: 'x' },
        { email: newEmail(), role: 'x'.repeat(300) },
      ].map(async (body) => (await post(body)).status),
    );
    expect(new Set(statuses)).toEqual(new Set([400]));
  });
});

test('health, settings and keys are served', async () => {
  expect(await (await fetch(`${f.gateway.url}/auth/v1/health`)).json()).toMatchObject({ name: 'GoTrue' });
  expect(await (await f.fetch('/auth/v1/settings')).json()).toMatchObject({ mailer_autoconfirm: true });
  expect(await (await fetch(`${f.gateway.url}/auth/v1/.well-known/jwks.json`)).json()).toEqual({ keys: [] });
  expect((await f.fetch('/auth/v1/nonsense')).status).toBe(404);
});
