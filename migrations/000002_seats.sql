-- Stage seats, bans, and the outbox that ejects people from LiveKit.
--
-- The row is the truth: a revocation is durable here before anybody calls LiveKit, and the call is made from an
-- outbox that is retried until it is done (livekit.md §7). One transaction writes seat, ban, event and outbox.

create table public.stream_seats (
  stream_id uuid not null references public.streams (id),
  user_id uuid not null references public.profiles (id),
  role text not null default 'speaker' check (role in ('host', 'speaker', 'guest')),
  can_publish boolean not null default true,
  state text not null default 'active' check (state in ('active', 'revoked', 'expired')),
  granted_at timestamptz not null default now(),
  granted_by text,
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  reason text,
  primary key (stream_id, user_id)
);
create index stream_seats_user_id_idx on public.stream_seats (user_id);
create index stream_seats_due_idx on public.stream_seats (expires_at)
  where state = 'active' and expires_at is not null;

create table public.stream_bans (
  id uuid primary key default gen_random_uuid(),
  stream_id uuid not null references public.streams (id),
  user_id uuid not null references public.profiles (id),
  reason text,
  created_by text,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  lifted_at timestamptz,
  lifted_by text
);
-- at most one ban of a user on a stream that has not been lifted; one that has run out is lifted before the next
create unique index stream_bans_open_idx on public.stream_bans (user_id, stream_id) where lifted_at is null;
create index stream_bans_stream_id_idx on public.stream_bans (stream_id);

create table public.seat_events (
  id bigint generated always as identity primary key,
  stream_id uuid not null,
  user_id uuid not null,
  action text not null check (action in
    ('granted', 'changed', 'downgraded', 'revoked', 'banned', 'ban_changed', 'ban_lifted', 'restored', 'expired')),
  actor text,
  reason text,
  until timestamptz,
  at timestamptz not null default clock_timestamp(),
  run_id text
);
create index seat_events_stream_user_idx on public.seat_events (stream_id, user_id, id);

create table public.seat_ejections (
  id bigint generated always as identity primary key,
  stream_id uuid not null,
  user_id uuid not null,
  room text not null,
  identity text not null,
  cause text not null check (cause in ('revoked', 'expired', 'banned', 'downgraded')),
  created_at timestamptz not null default clock_timestamp(),
  done_at timestamptz,
  attempts int not null default 0,
  last_error text
);
create index seat_ejections_open_idx on public.seat_ejections (id) where done_at is null;
create index seat_ejections_stream_user_idx on public.seat_ejections (stream_id, user_id);

revoke all on public.stream_seats, public.stream_bans, public.seat_events, public.seat_ejections
  from public, anon, authenticated, service_role;
revoke all on sequence public.seat_events_id_seq, public.seat_ejections_id_seq
  from public, anon, authenticated, service_role;
alter table public.stream_seats enable row level security;
alter table public.stream_bans enable row level security;
alter table public.seat_events enable row level security;
alter table public.seat_ejections enable row level security;

create trigger seat_events_refuse_change before update or delete or truncate on public.seat_events
  for each statement execute function trollfix.refuse_change();
create trigger seat_events_refuse_real_rows after delete on public.seat_events
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
alter table public.seat_events enable always trigger seat_events_refuse_change;
alter table public.seat_events enable always trigger seat_events_refuse_real_rows;

create function trollfix.is_banned(p_stream_id uuid, p_user_id uuid) returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from public.stream_bans b
    where b.user_id = p_user_id and b.stream_id = p_stream_id and b.lifted_at is null
      and (b.expires_at is null or b.expires_at > clock_timestamp()))
$$;
revoke all on function trollfix.is_banned(uuid, uuid) from public;

-- The streams that the caller is banned from: policies ask once per query (`not in (select …)` is hashed), not per row.
create function trollfix.my_banned_streams() returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select b.stream_id from public.stream_bans b
  where b.user_id = auth.uid() and b.lifted_at is null
    and (b.expires_at is null or b.expires_at > clock_timestamp())
$$;
revoke all on function trollfix.my_banned_streams() from public;
grant execute on function trollfix.my_banned_streams() to authenticated;

create function trollfix.my_streams() returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select s.id from public.streams s where s.owner_id = auth.uid()
$$;
revoke all on function trollfix.my_streams() from public;
grant execute on function trollfix.my_streams() to authenticated;

-- Anybody sees who is on stage. Lost seats and bans, with their reasons, are for the person concerned, the
-- stream's owner and moderators.
grant select on public.stream_seats to anon, authenticated, service_role;
create policy stream_seats_read_active on public.stream_seats for select to anon using (state = 'active');
create policy stream_seats_read on public.stream_seats for select to authenticated
  using (state = 'active' or user_id = (select auth.uid())
    or stream_id in (select trollfix.my_streams()) or (select trollfix.is_moderator()));
grant select on public.stream_bans to authenticated, service_role;
create policy stream_bans_read on public.stream_bans for select to authenticated
  using (user_id = (select auth.uid())
    or stream_id in (select trollfix.my_streams()) or (select trollfix.is_moderator()));
grant select on public.seat_events to authenticated, service_role;
create policy seat_events_read on public.seat_events for select to authenticated
  using (stream_id in (select trollfix.my_streams()) or (select trollfix.is_moderator()));
grant select on public.seat_ejections to service_role;

-- Tells the enforcer at commit. Removing a run's rows is no change anybody must act on.
create function trollfix.notify_seat_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if trollfix.purging_run() is null then
      perform pg_notify('seat_changes', json_build_object('stream_id', old.stream_id, 'user_id', old.user_id)::text);
    end if;
  else
    perform pg_notify('seat_changes', json_build_object('stream_id', new.stream_id, 'user_id', new.user_id)::text);
  end if;
  return null;
end
$$;
revoke all on function trollfix.notify_seat_change() from public;
create trigger stream_seats_notify after insert or update or delete on public.stream_seats
  for each row execute function trollfix.notify_seat_change();
create trigger stream_bans_notify after insert or update or delete on public.stream_bans
  for each row execute function trollfix.notify_seat_change();
create trigger seat_ejections_notify after insert on public.seat_ejections
  for each row execute function trollfix.notify_seat_change();

-- Decisions about one person on one stream are made one after the other.
create function trollfix.lock_seat(p_stream_id uuid, p_user_id uuid) returns void
language plpgsql set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('trollfix.seat:' || p_stream_id || ':' || p_user_id, 0));
end
$$;
revoke all on function trollfix.lock_seat(uuid, uuid) from public;

create function trollfix.record_seat_event(
  p_stream_id uuid, p_user_id uuid, p_action text, p_actor text, p_reason text, p_until timestamptz
) returns void
language sql set search_path = ''
as $$
  insert into public.seat_events (stream_id, user_id, action, actor, reason, until, run_id)
  select p_stream_id, p_user_id, p_action, p_actor, p_reason, p_until,
    (select s.run_id from public.streams s where s.id = p_stream_id)
$$;
revoke all on function trollfix.record_seat_event(uuid, uuid, text, text, text, timestamptz) from public;

-- The open ejection of that person, or a new one when the last one was carried out.
create function trollfix.request_ejection(p_stream_id uuid, p_user_id uuid, p_cause text) returns bigint
language plpgsql set search_path = ''
as $$
declare
  v_id bigint;
begin
  select e.id into v_id from public.seat_ejections e
  where e.stream_id = p_stream_id and e.user_id = p_user_id and e.done_at is null
  order by e.id limit 1;
  if v_id is null then
    insert into public.seat_ejections (stream_id, user_id, room, identity, cause)
    values (p_stream_id, p_user_id, p_stream_id::text, p_user_id::text, p_cause)
    returning id into v_id;
  end if;
  return v_id;
end
$$;
revoke all on function trollfix.request_ejection(uuid, uuid, text) from public;

create function trollfix.require_stream_and_profile(p_stream_id uuid, p_user_id uuid) returns public.streams
language plpgsql stable set search_path = ''
as $$
declare
  v_stream public.streams;
begin
  select * into v_stream from public.streams s where s.id = p_stream_id;
  if not found then
    raise exception 'no such stream: %', p_stream_id using errcode = 'PT404';
  end if;
  if not exists (select from public.profiles p where p.id = p_user_id) then
    raise exception 'no such user: %', p_user_id using errcode = 'PT404';
  end if;
  return v_stream;
end
$$;
revoke all on function trollfix.require_stream_and_profile(uuid, uuid) from public;

-- Gives a seat, or changes the one there is. Refused with PT409 while the person is banned or the stream has ended.
-- Taking publishing away from an active seat asks for an ejection, because a LiveKit token that was given stays valid.
create function public.grant_seat(
  p_stream_id uuid, p_user_id uuid, p_role text default 'speaker', p_can_publish boolean default true,
  p_expires_at timestamptz default null, p_actor text default null, p_reason text default null
) returns public.stream_seats
language plpgsql security definer set search_path = ''
as $$
declare
  v_before public.stream_seats;
  v_seat public.stream_seats;
  v_stream public.streams;
  v_downgraded boolean;
begin
  perform trollfix.lock_seat(p_stream_id, p_user_id);
  v_stream := trollfix.require_stream_and_profile(p_stream_id, p_user_id);
  if v_stream.status = 'ended' then
    raise exception 'the stream has ended' using errcode = 'PT409';
  end if;
  if trollfix.is_banned(p_stream_id, p_user_id) then
    raise exception 'user % is banned from stream %', p_user_id, p_stream_id
      using errcode = 'PT409', hint = 'restore the seat first: it lifts the ban';
  end if;
  if p_expires_at <= clock_timestamp() then
    raise exception 'a seat cannot expire in the past: %', p_expires_at using errcode = '22023';
  end if;

  select * into v_before from public.stream_seats s
  where s.stream_id = p_stream_id and s.user_id = p_user_id for update;
  insert into public.stream_seats as s
    (stream_id, user_id, role, can_publish, state, granted_at, granted_by, expires_at, reason)
  values (p_stream_id, p_user_id, coalesce(p_role, 'speaker'), coalesce(p_can_publish, true), 'active',
    clock_timestamp(), p_actor, p_expires_at, p_reason)
  on conflict (stream_id, user_id) do update set
    role = excluded.role, can_publish = excluded.can_publish, state = 'active', granted_at = excluded.granted_at,
    granted_by = excluded.granted_by, expires_at = excluded.expires_at, reason = excluded.reason,
    revoked_at = null, revoked_by = null
  returning * into v_seat;

  v_downgraded := v_before.state = 'active' and v_before.can_publish and not v_seat.can_publish;
  if v_downgraded then
    perform trollfix.request_ejection(p_stream_id, p_user_id, 'downgraded');
  else
    -- an ejection that was still waiting belongs to the seat that was lost, not to this one
    update public.seat_ejections e set done_at = clock_timestamp(), last_error = 'superseded by a new grant'
    where e.stream_id = p_stream_id and e.user_id = p_user_id and e.done_at is null and e.cause <> 'downgraded';
  end if;
  perform trollfix.record_seat_event(p_stream_id, p_user_id,
    case when v_downgraded then 'downgraded' when v_before.state = 'active' then 'changed' else 'granted' end,
    p_actor, p_reason, p_expires_at);
  return v_seat;
end
$$;

-- Takes the seat and bans until p_until (null: for good), in one transaction with the event and the ejection.
-- Works for a viewer who never had a seat. Said again it changes nothing but a different p_until or reason, and asks
-- for another ejection when the last one was carried out already.
create function public.revoke_seat(
  p_stream_id uuid, p_user_id uuid, p_reason text, p_until timestamptz default null, p_actor text default null
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_ban public.stream_bans;
  v_had_seat boolean;
  v_revoked_at timestamptz;
  v_ejection bigint;
begin
  perform trollfix.lock_seat(p_stream_id, p_user_id);
  perform trollfix.require_stream_and_profile(p_stream_id, p_user_id);
  if p_until <= v_now then
    raise exception 'a ban cannot end in the past: %', p_until using errcode = '22023';
  end if;

  update public.stream_bans b set lifted_at = b.expires_at, lifted_by = 'expiry'
  where b.user_id = p_user_id and b.stream_id = p_stream_id and b.lifted_at is null and b.expires_at <= v_now;
  select * into v_ban from public.stream_bans b
  where b.user_id = p_user_id and b.stream_id = p_stream_id and b.lifted_at is null for update;
  if not found then
    insert into public.stream_bans (stream_id, user_id, reason, created_by, created_at, expires_at)
    values (p_stream_id, p_user_id, p_reason, p_actor, v_now, p_until) returning * into v_ban;
    perform trollfix.record_seat_event(p_stream_id, p_user_id, 'banned', p_actor, p_reason, p_until);
  elsif v_ban.expires_at is distinct from p_until or v_ban.reason is distinct from p_reason then
    update public.stream_bans b set expires_at = p_until, reason = p_reason where b.id = v_ban.id returning * into v_ban;
    perform trollfix.record_seat_event(p_stream_id, p_user_id, 'ban_changed', p_actor, p_reason, p_until);
  end if;

  update public.stream_seats s
  set state = 'revoked', revoked_at = v_now, revoked_by = p_actor, reason = p_reason
  where s.stream_id = p_stream_id and s.user_id = p_user_id and s.state <> 'revoked';
  if found then
    perform trollfix.record_seat_event(p_stream_id, p_user_id, 'revoked', p_actor, p_reason, p_until);
  end if;
  select true, s.revoked_at into v_had_seat, v_revoked_at from public.stream_seats s
  where s.stream_id = p_stream_id and s.user_id = p_user_id;

  v_ejection := trollfix.request_ejection(p_stream_id, p_user_id, case when v_had_seat then 'revoked' else 'banned' end);
  return jsonb_build_object(
    'seat_id', case when v_had_seat then p_stream_id || ':' || p_user_id end,
    'ban_id', v_ban.id, 'ejection_id', v_ejection,
    'revoked_at', coalesce(v_revoked_at, v_ban.created_at), 'until', v_ban.expires_at);
end
$$;

-- Lifts the ban and gives the seat back if there was one and its own time is not over.
create function public.restore_seat(
  p_stream_id uuid, p_user_id uuid, p_actor text default null, p_reason text default null
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_lifted int;
  v_seat public.stream_seats;
  v_restored boolean;
begin
  perform trollfix.lock_seat(p_stream_id, p_user_id);
  perform trollfix.require_stream_and_profile(p_stream_id, p_user_id);
  update public.stream_bans b set lifted_at = clock_timestamp(), lifted_by = p_actor
  where b.user_id = p_user_id and b.stream_id = p_stream_id and b.lifted_at is null;
  get diagnostics v_lifted = row_count;
  if v_lifted > 0 then
    perform trollfix.record_seat_event(p_stream_id, p_user_id, 'ban_lifted', p_actor, p_reason, null);
  end if;

  update public.stream_seats s set state = 'active', revoked_at = null, revoked_by = null, reason = p_reason
  where s.stream_id = p_stream_id and s.user_id = p_user_id and s.state = 'revoked'
    and (s.expires_at is null or s.expires_at > clock_timestamp())
  returning * into v_seat;
  v_restored := found;
  if v_restored then
    perform trollfix.record_seat_event(p_stream_id, p_user_id, 'restored', p_actor, p_reason, v_seat.expires_at);
  end if;
  if v_restored or v_lifted > 0 then
    update public.seat_ejections e set done_at = clock_timestamp(), last_error = 'superseded by a restore'
    where e.stream_id = p_stream_id and e.user_id = p_user_id and e.done_at is null and e.cause in ('revoked', 'banned');
  end if;
  return jsonb_build_object('bans_lifted', v_lifted, 'restored', v_restored,
    'seat', case when v_restored then to_jsonb(v_seat) end);
end
$$;

-- Seats whose time is over lose their state and get an ejection. Several enforcers share the work: each skips what
-- another one holds.
create function public.expire_due_seats(p_limit int default 500) returns setof public.seat_ejections
language plpgsql security definer set search_path = ''
as $$
declare
  v_seat record;
  v_id bigint;
begin
  for v_seat in
    update public.stream_seats s set state = 'expired'
    from (
      select d.stream_id, d.user_id from public.stream_seats d
      where d.state = 'active' and d.expires_at <= clock_timestamp()
      order by d.expires_at limit p_limit for update skip locked
    ) due
    where s.stream_id = due.stream_id and s.user_id = due.user_id
    returning s.stream_id, s.user_id, s.expires_at
  loop
    perform trollfix.record_seat_event(v_seat.stream_id, v_seat.user_id, 'expired', null, 'its time was over', v_seat.expires_at);
    v_id := trollfix.request_ejection(v_seat.stream_id, v_seat.user_id, 'expired');
    return query select e.* from public.seat_ejections e where e.id = v_id;
  end loop;
end
$$;

-- Closes an ejection, or with p_error counts a failed attempt and leaves it open.
create function public.complete_ejection(p_id bigint, p_error text default null) returns void
language sql security definer set search_path = ''
as $$
  update public.seat_ejections e
  set attempts = e.attempts + 1, last_error = p_error, done_at = case when p_error is null then clock_timestamp() end
  where e.id = p_id and e.done_at is null
$$;

-- All that the token policy decides on, in one round trip. A seat whose time is over says so even before the
-- enforcer came by.
create function public.livekit_token_context(p_stream_id uuid, p_user_id uuid) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'stream', (select jsonb_build_object('id', s.id, 'room', s.id::text, 'status', s.status)
      from public.streams s where s.id = p_stream_id),
    'profile', (select jsonb_build_object('username', p.username, 'display_name', p.display_name, 'avatar_url', p.avatar_url)
      from public.profiles p where p.id = p_user_id),
    'seat', (select jsonb_build_object('role', s.role, 'can_publish', s.can_publish,
        'state', case when s.state = 'active' and s.expires_at <= clock_timestamp() then 'expired' else s.state end,
        'expires_at', s.expires_at, 'granted_at', s.granted_at)
      from public.stream_seats s where s.stream_id = p_stream_id and s.user_id = p_user_id),
    'ban', (select jsonb_build_object('reason', b.reason, 'until', b.expires_at)
      from public.stream_bans b
      where b.user_id = p_user_id and b.stream_id = p_stream_id and b.lifted_at is null
        and (b.expires_at is null or b.expires_at > clock_timestamp())))
$$;

revoke all on function
  public.grant_seat(uuid, uuid, text, boolean, timestamptz, text, text),
  public.revoke_seat(uuid, uuid, text, timestamptz, text),
  public.restore_seat(uuid, uuid, text, text),
  public.expire_due_seats(int),
  public.complete_ejection(bigint, text),
  public.livekit_token_context(uuid, uuid)
  from public, anon, authenticated, service_role;
grant execute on function
  public.grant_seat(uuid, uuid, text, boolean, timestamptz, text, text),
  public.revoke_seat(uuid, uuid, text, timestamptz, text),
  public.restore_seat(uuid, uuid, text, text),
  public.expire_due_seats(int),
  public.complete_ejection(bigint, text),
  public.livekit_token_context(uuid, uuid)
  to service_role;
