/** The statements of the auth service; it works as `supabase_auth_admin`, like GoTrue. */

export const becomeAuthAdminSql = 'set local role supabase_auth_admin';

const userColumns = `u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at,
  u.phone_confirmed_at, u.confirmed_at, u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data,
  u.created_at, u.updated_at, u.banned_until, u.is_anonymous,
  coalesce((
    select json_agg(json_build_object(
      'identity_id', i.id, 'id', i.provider_id, 'user_id', i.user_id, 'identity_data', i.identity_data,
      'provider', i.provider, 'last_sign_in_at', i.last_sign_in_at, 'created_at', i.created_at,
      'updated_at', i.updated_at, 'email', i.email))
    from auth.identities i where i.user_id = u.id
  ), '[]') as identities`;

export const findUserByIdSql = `select ${userColumns} from auth.users u where u.id = $1 and u.deleted_at is null`;

export const findUserByEmailSql = `select ${userColumns} from auth.users u
where u.email = $1 and not u.is_sso_user and u.deleted_at is null`;

export const listUsersSql = `select ${userColumns} from auth.users u
where u.deleted_at is null order by u.created_at desc, u.id limit $1 offset $2`;

export const countUsersSql = 'select count(*)::int as total from auth.users where deleted_at is null';

/** $1 id, $2 role, $3 email, $4 password hash, $5 confirmed at, $6 app metadata, $7 user metadata, $8 phone, $9 banned until */
export const insertUserSql = `insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
  raw_user_meta_data, phone, banned_until, created_at, updated_at,
  confirmation_token, recovery_token, email_change_token_new, email_change
) values (
  '00000000-0000-0000-0000-000000000000', $1, 'authenticated', $2, $3, $4, $5, $6, $7, $8, $9, now(), now(),
  '', '', '', ''
)`;

/** $1 user, $2 identity data */
export const insertEmailIdentitySql = `insert into auth.identities (
  provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
) values ($1::uuid::text, $1::uuid, $2, 'email', now(), now(), now())`;

/** A null leaves what is there. $1 id, $2 email, $3 hash, $4 user metadata, $5 app metadata, $6 role, $7 phone, $8 confirmed at, $9 ban: 'keep', 'none' or an instant */
export const updateUserSql = `update auth.users set
  email = coalesce($2, email),
  encrypted_password = coalesce($3, encrypted_password),
  raw_user_meta_data = jsonb_strip_nulls(coalesce(raw_user_meta_data, '{}') || coalesce($4::jsonb, '{}')),
  raw_app_meta_data = jsonb_strip_nulls(coalesce(raw_app_meta_data, '{}') || coalesce($5::jsonb, '{}')),
  role = coalesce($6, role),
  phone = coalesce($7, phone),
  email_confirmed_at = coalesce(email_confirmed_at, $8),
  banned_until = case $9::text when 'keep' then banned_until when 'none' then null else $9::timestamptz end,
  updated_at = now()
where id = $1 and deleted_at is null`;

export const updateEmailIdentitySql = `update auth.identities set
  identity_data = identity_data || jsonb_build_object('email', $2::text), updated_at = now()
where user_id = $1 and provider = 'email'`;

export const deleteUserSql = 'delete from auth.users where id = $1 and deleted_at is null';

/** The row stays for foreign keys, what identifies the person goes. */
export const softDeleteUserSql = `update auth.users set deleted_at = now(), updated_at = now(),
  email = encode(extensions.digest(email, 'sha256'), 'base64'), phone = null, encrypted_password = null,
  raw_user_meta_data = '{}', raw_app_meta_data = '{}'
where id = $1 and deleted_at is null`;

export const deleteIdentitiesSql = 'delete from auth.identities where user_id = $1';

export const touchSignInSql =
  'update auth.users set last_sign_in_at = now(), updated_at = now() where id = $1';

/** $1 session, $2 user, $3 user agent, $4 address */
export const insertSessionSql = `insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
values ($1, $2, now(), now(), 'aal1', $3, $4)`;

export const findSessionSql = 'select 1 from auth.sessions where id = $1 and user_id = $2';

export const touchSessionSql =
  "update auth.sessions set refreshed_at = now() at time zone 'utc', updated_at = now() where id = $1";

/** $1 token, $2 user, $3 parent token, $4 session */
export const insertRefreshTokenSql = `insert into auth.refresh_tokens
  (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
values ('00000000-0000-0000-0000-000000000000', $1, $2, false, now(), now(), $3, $4)`;

/** Locks the row, so that of two concurrent refreshes the second sees what the first did. */
export const lockRefreshTokenSql = `select t.user_id, t.session_id, t.revoked,
  extract(epoch from now() - t.updated_at)::float8 as age_s
from auth.refresh_tokens t where t.token = $1 for update`;

export const revokeRefreshTokenSql =
  'update auth.refresh_tokens set revoked = true, updated_at = now() where token = $1';

export const activeRefreshTokenSql = `select token from auth.refresh_tokens
where session_id = $1 and not revoked order by id desc limit 1`;

export const revokeSessionTokensSql =
  'update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = $1';

/** $1 user, $2 session, $3 scope: global, local or others; refresh tokens go with their sessions */
export const deleteSessionsSql = `delete from auth.sessions
where user_id = $1 and ($3 = 'global' or ($3 = 'local' and id = $2) or ($3 = 'others' and id is distinct from $2))`;

export const bcryptMatchesSql = 'select extensions.crypt($1, $2) = $2 as matches';
