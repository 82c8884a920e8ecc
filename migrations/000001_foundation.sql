-- Profiles and streams: what everything else hangs on.
--
-- Schema `trollfix` holds what only our own functions, policies and triggers use; nobody else gets USAGE on it.
-- Hosted Supabase grants ALL on every new object in `public` to anon, authenticated and service_role, so each
-- object here first loses everything and is then given exactly what it needs.

create schema trollfix;
revoke all on schema trollfix from public;

-- Profiles have no foreign key to auth.users: the users of a load run are minted and never sign up.
-- run_id marks a synthetic row: it is set at insert and never changes (trollfix.refuse_run_change).
create table public.profiles (
  id uuid primary key,
  username text not null unique check (char_length(username) between 1 and 120),
  display_name text check (char_length(display_name) <= 120),
  avatar_url text check (char_length(avatar_url) <= 2048),
  is_moderator boolean not null default false,
  run_id text,
  created_at timestamptz not null default now()
);

-- fillfactor 50 keeps room on the page for the next version of a row, and no index holds a column that changes:
-- every balance update is then HOT (measured, ledger.md §1). gifted_total and gifted_count are the all-time
-- leaderboard of the sender; they live here because this row is rewritten by the same gift anyway, which saves an
-- upsert per sender and round.
create table public.wallets (
  user_id uuid primary key references public.profiles (id),
  balance bigint not null default 0 check (balance >= 0),
  version bigint not null default 0,
  gifted_total bigint not null default 0 check (gifted_total >= 0),
  gifted_count bigint not null default 0 check (gifted_count >= 0),
  run_id text
) with (fillfactor = 50);

create table public.streams (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references public.profiles (id),
  title text not null default '' check (char_length(title) <= 200),
  status text not null default 'live' check (status in ('live', 'ended')),
  hls_url text check (char_length(hls_url) <= 2048),
  run_id text,
  created_at timestamptz not null default now()
);
create index streams_owner_id_idx on public.streams (owner_id);

-- A load run. first_seq is where the ledger stood when it began: its gifts all come later, so purge_run can find
-- them by primary key and needs no index that every real gift would pay for.
create table public.synthetic_runs (
  run_id text primary key check (run_id ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$'),
  first_seq bigint not null,
  created_at timestamptz not null default now()
);

revoke all on public.profiles, public.wallets, public.streams, public.synthetic_runs
  from public, anon, authenticated, service_role;
alter table public.profiles enable row level security;
alter table public.wallets enable row level security;
alter table public.streams enable row level security;
alter table public.synthetic_runs enable row level security;

-- Whoever is in the request's JWT is a moderator. Security definer: policies on any table may ask.
create function trollfix.is_moderator() returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce((select p.is_moderator from public.profiles p where p.id = auth.uid()), false)
$$;
revoke all on function trollfix.is_moderator() from public;
grant execute on function trollfix.is_moderator() to authenticated, service_role;

grant select on public.profiles to anon, authenticated;
grant update (username, display_name, avatar_url) on public.profiles to authenticated;
grant select, insert, update, delete on public.profiles to service_role;
create policy profiles_read on public.profiles for select to anon, authenticated using (true);
create policy profiles_update_own on public.profiles for update to authenticated
  using (id = (select auth.uid())) with check (id = (select auth.uid()));

-- Money moves only through functions, so nobody may write here, the service role included.
grant select on public.wallets to authenticated, service_role;
create policy wallets_read_own on public.wallets for select to authenticated
  using (user_id = (select auth.uid()));

-- Anybody signed in may go live as themselves. run_id is not theirs to write.
grant select on public.streams to anon, authenticated;
grant insert (id, owner_id, title, hls_url) on public.streams to authenticated;
grant update (title, status, hls_url) on public.streams to authenticated;
grant select, insert, update, delete on public.streams to service_role;
create policy streams_read on public.streams for select to anon, authenticated using (true);
create policy streams_insert_own on public.streams for insert to authenticated
  with check (owner_id = (select auth.uid()));
create policy streams_update_own on public.streams for update to authenticated
  using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));

grant select on public.synthetic_runs to service_role;

-- Every profile has a wallet from the moment it exists: settlement joins on it.
create function trollfix.open_wallets() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.wallets (user_id, run_id)
  select o.id, o.run_id from opened o
  on conflict (user_id) do nothing;
  return null;
end
$$;
revoke all on function trollfix.open_wallets() from public;
create trigger profiles_open_wallets after insert on public.profiles
  referencing new table as opened for each statement execute function trollfix.open_wallets();

-- A stream of a synthetic user is synthetic, whoever wrote it.
create function trollfix.inherit_run() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.run_id is null then
    new.run_id := (select p.run_id from public.profiles p where p.id = new.owner_id);
  end if;
  return new;
end
$$;
revoke all on function trollfix.inherit_run() from public;
create trigger streams_inherit_run before insert on public.streams
  for each row execute function trollfix.inherit_run();

-- run_id decides which world a row belongs to, and purge_run deletes by it: a real row must never become synthetic.
create function trollfix.refuse_run_change() returns trigger
language plpgsql set search_path = ''
as $$
begin
  raise exception 'run_id of %.% is set at insert and never changes', tg_table_schema, tg_table_name
    using errcode = '23001';
end
$$;
revoke all on function trollfix.refuse_run_change() from public;
create trigger profiles_keep_run before update of run_id on public.profiles
  for each row when (new.run_id is distinct from old.run_id) execute function trollfix.refuse_run_change();
create trigger streams_keep_run before update of run_id on public.streams
  for each row when (new.run_id is distinct from old.run_id) execute function trollfix.refuse_run_change();
create trigger wallets_keep_run before update of run_id on public.wallets
  for each row when (new.run_id is distinct from old.run_id) execute function trollfix.refuse_run_change();

-- Rows of a run are added under this lock (shared) and purged under it (exclusive): a gift or message that is
-- still in flight cannot slip in behind the purge. Real rows (null) pay nothing.
create function trollfix.hold_run(p_run_id text) returns void
language plpgsql set search_path = ''
as $$
begin
  if p_run_id is not null then
    perform pg_advisory_xact_lock_shared(hashtextextended('trollfix.run:' || p_run_id, 0));
  end if;
end
$$;
revoke all on function trollfix.hold_run(text) from public;

-- The run that this transaction purges, set by purge_run; null outside of it.
create function trollfix.purging_run() returns text
language sql stable set search_path = ''
as $$
  select nullif(current_setting('trollfix.purging_run', true), '')
$$;
revoke all on function trollfix.purging_run() from public;

-- Append-only, for a table with a run_id: UPDATE and TRUNCATE never, DELETE only of the synthetic rows of the run
-- that purge_run is purging. Real rows have run_id null and can therefore never be deleted, whatever the setting
-- says. Enabled ALWAYS, so session_replication_role = replica does not switch it off. It is a guard against code:
-- an owner can still drop the trigger, and the drift check then says so.
create function trollfix.refuse_change() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if tg_op = 'DELETE' and trollfix.purging_run() is not null then
    return null; -- trollfix.refuse_real_rows looks at the rows themselves
  end if;
  raise exception '%.% is append-only: % refused', tg_table_schema, tg_table_name, lower(tg_op)
    using errcode = '23001';
end
$$;
revoke all on function trollfix.refuse_change() from public;

create function trollfix.refuse_real_rows() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if exists (select from gone g where g.run_id is distinct from trollfix.purging_run()) then
    raise exception '%.% is append-only: only rows of the run being purged may go', tg_table_schema, tg_table_name
      using errcode = '23001';
  end if;
  return null;
end
$$;
revoke all on function trollfix.refuse_real_rows() from public;

-- A wallet with money in it must not vanish; only a purge removes one.
create trigger wallets_refuse_delete before delete on public.wallets
  for each statement execute function trollfix.refuse_change();
create trigger wallets_refuse_truncate before truncate on public.wallets
  for each statement execute function trollfix.refuse_change();
create trigger wallets_refuse_real_rows after delete on public.wallets
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
alter table public.wallets enable always trigger wallets_refuse_delete;
alter table public.wallets enable always trigger wallets_refuse_truncate;
alter table public.wallets enable always trigger wallets_refuse_real_rows;

-- A user who signs up gets a profile (and with it a wallet). `app_metadata.run_id`, which only the service role
-- can set, makes a synthetic user; `user_metadata` is the client's own text and only names it. A name that is
-- taken or too long never keeps anybody from signing up.
create function trollfix.create_profile() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_name text := left(nullif(new.raw_user_meta_data ->> 'username', ''), 120);
  v_display text := left(new.raw_user_meta_data ->> 'display_name', 120);
  v_avatar text := left(new.raw_user_meta_data ->> 'avatar_url', 2048);
  v_run text := nullif(new.raw_app_meta_data ->> 'run_id', '');
begin
  insert into public.profiles (id, username, display_name, avatar_url, run_id)
  values (new.id, coalesce(v_name, 'user-' || new.id), v_display, v_avatar, v_run)
  on conflict do nothing;
  if not found then
    insert into public.profiles (id, username, display_name, avatar_url, run_id)
    values (new.id, 'user-' || new.id, v_display, v_avatar, v_run)
    on conflict do nothing;
  end if;
  return null;
end
$$;
revoke all on function trollfix.create_profile() from public;
