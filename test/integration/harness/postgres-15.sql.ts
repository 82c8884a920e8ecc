/**
 * What hosted Supabase gives every project, as far as the migrations lean on it and in the words of PostgreSQL 15 (the
 * gateway's own platform SQL grants roles in those of 16): roles and default privileges, `auth`, and pg_cron as hosted
 * has it: installed by the superuser, used by `postgres`, which may change jobs only by its functions.
 * @param password of `postgres`, as a literal
 */
export function platform15Sql(password: string): string[] {
  return [
    `create role postgres login nosuperuser createrole createdb bypassrls replication password ${password};
     create role anon nologin noinherit;
     create role authenticated nologin noinherit;
     create role service_role nologin noinherit bypassrls;
     create role authenticator login noinherit;
     grant anon, authenticated, service_role to authenticator, postgres;
     grant pg_monitor, pg_signal_backend to postgres;
     alter database postgres owner to postgres;
     grant usage, create on schema public to postgres;
     grant usage on schema public to anon, authenticated, service_role`,
    ...['tables', 'functions', 'sequences'].map(
      (what) =>
        `alter default privileges for role postgres in schema public grant all on ${what} to anon, authenticated, service_role`,
    ),
    `create schema auth;
     create table auth.users (id uuid primary key, email text, raw_app_meta_data jsonb, raw_user_meta_data jsonb);
     create function auth.jwt() returns jsonb language sql stable as
       $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
     create function auth.uid() returns uuid language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
     create function auth.role() returns text language sql stable as $$ select auth.jwt() ->> 'role' $$;
     grant usage on schema auth to postgres, anon, authenticated, service_role;
     grant all on auth.users to postgres`,
    `create extension pg_cron with schema pg_catalog;
     grant usage on schema cron to postgres`,
  ];
}
