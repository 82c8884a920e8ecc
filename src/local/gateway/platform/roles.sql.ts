/**
 * The roles, schemas and grants every hosted Supabase project has, read off a hosted project's
 * `pg_roles`, `pg_auth_members` and default privileges. Run as `supabase_admin` (the bootstrap superuser);
 * idempotent.
 *
 * What matters to an application and is easily got wrong:
 * - `postgres`, which runs migrations, is not a superuser, but bypasses row security.
 * - everything `postgres` creates in `public` is granted to `anon`, `authenticated` and `service_role`:
 *   row security and explicit revokes are the only protection.
 * - statement timeouts stand on the roles; PostgREST applies those of the role it switches to.
 */
export const rolesSql = `
do $$
declare
  spec record;
begin
  for spec in select * from (values
    ('postgres',              'login nosuperuser createrole createdb bypassrls replication inherit'),
    ('anon',                  'nologin noinherit'),
    ('authenticated',         'nologin noinherit'),
    ('service_role',          'nologin noinherit bypassrls'),
    ('authenticator',         'login noinherit'),
    ('supabase_auth_admin',   'nologin noinherit createrole'),
    ('dashboard_user',        'nologin createrole createdb replication')
  ) as t(name, attributes) loop
    if not exists (select from pg_roles where rolname = spec.name) then
      execute format('create role %I %s', spec.name, spec.attributes);
    else
      execute format('alter role %I %s', spec.name, spec.attributes);
    end if;
  end loop;
end $$;

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend, pg_create_subscription to postgres;

-- hosted values; a project may change them with ALTER ROLE, so they are set only where nothing is set yet
do $$
declare
  setting record;
begin
  for setting in select * from (values
    ('anon', 'statement_timeout', '3s'),
    ('authenticated', 'statement_timeout', '8s'),
    ('authenticator', 'statement_timeout', '8s'),
    ('authenticator', 'lock_timeout', '8s'),
    ('supabase_auth_admin', 'idle_in_transaction_session_timeout', '60000')
  ) as t(role, name, value) loop
    if not exists (
      select from pg_db_role_setting s, unnest(s.setconfig) c
      where s.setdatabase = 0 and s.setrole = setting.role::regrole and c like setting.name || '=%'
    ) then
      execute format('alter role %I set %I = %L', setting.role, setting.name, setting.value);
    end if;
  end loop;
end $$;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;

alter database postgres owner to postgres;
grant connect, temporary on database postgres to anon, authenticated, service_role, authenticator;

create schema if not exists extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role, dashboard_user, supabase_auth_admin;
create extension if not exists pgcrypto with schema extensions;
create extension if not exists "uuid-ossp" with schema extensions;
create extension if not exists pg_stat_statements with schema extensions;

grant usage, create on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on sequences to postgres, anon, authenticated, service_role;

-- what supautils lets the hosted postgres role set although it is no superuser
grant set on parameter session_replication_role, log_min_duration_statement, log_min_messages,
  log_statement, log_lock_waits, log_temp_files, track_io_timing, wal_compression to postgres;

do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  -- a publication's owner may add tables; on hosted that is postgres
  if (select pubowner from pg_publication where pubname = 'supabase_realtime') <> 'postgres'::regrole then
    alter publication supabase_realtime owner to postgres;
  end if;
end $$;
`;

/**
 * Tells PostgREST (here: the gateway's schema cache) about every change of the schema, as hosted does with
 * the event triggers `pgrst_ddl_watch` and `pgrst_drop_watch`.
 */
export const schemaWatchSql = `
create or replace function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
declare
  command record;
begin
  for command in select * from pg_event_trigger_ddl_commands() loop
    if command.command_tag in (
      'CREATE SCHEMA', 'ALTER SCHEMA',
      'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE',
      'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
      'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW',
      'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE TRIGGER', 'CREATE TYPE', 'ALTER TYPE', 'CREATE RULE', 'COMMENT'
    ) and command.schema_name is distinct from 'pg_temp' then
      notify pgrst, 'reload schema';
    end if;
  end loop;
end $$;

create or replace function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
declare
  dropped record;
begin
  for dropped in select * from pg_event_trigger_dropped_objects() loop
    if dropped.object_type in (
      'schema', 'table', 'foreign table', 'view', 'materialized view', 'function', 'trigger', 'type', 'rule'
    ) and not dropped.is_temporary then
      notify pgrst, 'reload schema';
    end if;
  end loop;
end $$;

do $$
begin
  if not exists (select from pg_event_trigger where evtname = 'pgrst_ddl_watch') then
    create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
  end if;
  if not exists (select from pg_event_trigger where evtname = 'pgrst_drop_watch') then
    create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
  end if;
end $$;
`;
