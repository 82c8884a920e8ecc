/**
 * Schema `auth` as hosted Supabase has it: GoTrue's tables with GoTrue's columns (the part this gateway
 * uses and applications join to or put triggers on), and the functions row security policies call.
 * Owned by `supabase_auth_admin`, the role the auth service works as: a trigger on `auth.users` whose
 * function is not `security definer` fails here with the same permission errors as on hosted.
 */
export const authSql = `
create schema if not exists auth authorization supabase_auth_admin;

create table if not exists auth.users (
  instance_id uuid,
  id uuid primary key,
  aud varchar(255),
  role varchar(255),
  email varchar(255),
  encrypted_password varchar(255),
  email_confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_token varchar(255),
  confirmation_sent_at timestamptz,
  recovery_token varchar(255),
  recovery_sent_at timestamptz,
  email_change_token_new varchar(255),
  email_change varchar(255),
  email_change_sent_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb,
  is_super_admin boolean,
  created_at timestamptz,
  updated_at timestamptz,
  phone text unique,
  phone_confirmed_at timestamptz,
  phone_change text default '',
  phone_change_token varchar(255) default '',
  phone_change_sent_at timestamptz,
  confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current varchar(255) default '',
  email_change_confirm_status smallint default 0,
  banned_until timestamptz,
  reauthentication_token varchar(255) default '',
  reauthentication_sent_at timestamptz,
  is_sso_user boolean not null default false,
  deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index if not exists users_email_partial_key on auth.users (email) where is_sso_user = false;

create table if not exists auth.identities (
  provider_id text not null,
  user_id uuid not null references auth.users (id) on delete cascade,
  identity_data jsonb not null,
  provider text not null,
  last_sign_in_at timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  email text generated always as (lower(identity_data ->> 'email')) stored,
  id uuid primary key default gen_random_uuid(),
  unique (provider_id, provider)
);
create index if not exists identities_user_id_idx on auth.identities (user_id);

create table if not exists auth.sessions (
  id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  created_at timestamptz,
  updated_at timestamptz,
  factor_id uuid,
  aal text default 'aal1',
  not_after timestamptz,
  refreshed_at timestamp,
  user_agent text,
  ip inet,
  tag text
);
create index if not exists sessions_user_id_idx on auth.sessions (user_id);

create table if not exists auth.refresh_tokens (
  instance_id uuid,
  id bigserial primary key,
  token varchar(255) unique,
  user_id varchar(255),
  revoked boolean,
  created_at timestamptz,
  updated_at timestamptz,
  parent varchar(255),
  session_id uuid references auth.sessions (id) on delete cascade
);
create index if not exists refresh_tokens_session_id_idx on auth.refresh_tokens (session_id);

create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;
create or replace function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;
create or replace function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
  )::text
$$;
create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;

do $$
declare
  object record;
begin
  for object in
    select format('table auth.%I', tablename) as what from pg_tables
    where schemaname = 'auth' and tableowner <> 'supabase_auth_admin'
    union all
    select 'function ' || p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'auth'::regnamespace and p.proowner <> 'supabase_auth_admin'::regrole
  loop
    execute format('alter %s owner to supabase_auth_admin', object.what);
  end loop;
end $$;

alter table auth.users enable row level security;
alter table auth.identities enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;

grant usage on schema auth to anon, authenticated, service_role, postgres;
grant execute on all functions in schema auth to anon, authenticated, service_role, postgres, dashboard_user;
-- applications reference auth.users, join it in definer functions and put triggers on it
grant insert, update, delete, truncate, references, trigger on all tables in schema auth to postgres;
grant select on all tables in schema auth to postgres with grant option;
grant usage, select on all sequences in schema auth to postgres;

-- Hosted (supautils.drop_trigger_grants) lets postgres drop triggers of auth tables, which plain PostgreSQL
-- leaves to the owner: 'drop trigger if exists ... on auth.users' stands in most projects' migrations. Membership
-- gives that, and the guard takes back the rest: hosted refuses every other DDL of postgres in auth.
grant supabase_auth_admin to postgres with inherit true, set false;

create or replace function auth.refuse_foreign_ddl() returns event_trigger language plpgsql as $$
declare
  touched record;
begin
  if current_user in ('supabase_admin', 'supabase_auth_admin') then return; end if;
  if tg_event = 'sql_drop' then
    for touched in select * from pg_event_trigger_dropped_objects() loop
      if touched.schema_name = 'auth' and touched.original and touched.object_type <> 'trigger' then
        raise exception 'must be owner of % %', touched.object_type, touched.object_identity
          using errcode = 'insufficient_privilege';
      end if;
    end loop;
  else
    for touched in select * from pg_event_trigger_ddl_commands() loop
      if touched.schema_name = 'auth' and touched.command_tag <> 'CREATE TRIGGER' then
        raise exception 'permission denied for schema auth' using errcode = 'insufficient_privilege';
      end if;
    end loop;
  end if;
end $$;
alter function auth.refuse_foreign_ddl() owner to supabase_auth_admin;

do $$
begin
  if not exists (select from pg_event_trigger where evtname = 'auth_ddl_guard') then
    create event trigger auth_ddl_guard on ddl_command_end execute function auth.refuse_foreign_ddl();
  end if;
  if not exists (select from pg_event_trigger where evtname = 'auth_drop_guard') then
    create event trigger auth_drop_guard on sql_drop execute function auth.refuse_foreign_ddl();
  end if;
end $$;
`;
