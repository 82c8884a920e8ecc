-- What a moderator's desk needs beyond granting, revoking and restoring one seat: a longer seat, a seat without the
-- right to publish, many revocations in one transaction, and when somebody was last in a room.

alter table public.seat_events drop constraint seat_events_action_check;
alter table public.seat_events add constraint seat_events_action_check check (action in
  ('granted', 'changed', 'extended', 'downgraded', 'revoked', 'banned', 'ban_changed', 'ban_lifted', 'restored',
   'expired'));

-- The open ejection of that person, or a new one when the last one was carried out. A downgrade leaves its user in the
-- room, so one that is still open never stands for an ejection that takes somebody out: it gives way to it.
create or replace function trollfix.request_ejection(p_stream_id uuid, p_user_id uuid, p_cause text) returns bigint
language plpgsql set search_path = ''
as $$
declare
  v_id bigint;
begin
  if p_cause <> 'downgraded' then
    update public.seat_ejections e set done_at = clock_timestamp(), last_error = 'superseded by: ' || p_cause
    where e.stream_id = p_stream_id and e.user_id = p_user_id and e.done_at is null and e.cause = 'downgraded';
  end if;
  select e.id into v_id from public.seat_ejections e
  where e.stream_id = p_stream_id and e.user_id = p_user_id and e.done_at is null
    and (e.cause = 'downgraded') = (p_cause = 'downgraded')
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

-- The seat, locked, if it can be changed in place: PT404 where there is none, PT409 where it is not active any more
-- or its user is banned. Whoever calls it holds trollfix.lock_seat.
create function trollfix.require_active_seat(p_stream_id uuid, p_user_id uuid) returns public.stream_seats
language plpgsql set search_path = ''
as $$
declare
  v_seat public.stream_seats;
begin
  perform trollfix.require_stream_and_profile(p_stream_id, p_user_id);
  if trollfix.is_banned(p_stream_id, p_user_id) then
    raise exception 'user % is banned from stream %', p_user_id, p_stream_id
      using errcode = 'PT409', hint = 'restore the seat first: it lifts the ban';
  end if;
  select * into v_seat from public.stream_seats s
  where s.stream_id = p_stream_id and s.user_id = p_user_id for update;
  if not found then
    raise exception 'user % has no seat on stream %', p_user_id, p_stream_id using errcode = 'PT404';
  end if;
  if v_seat.state <> 'active' or v_seat.expires_at <= clock_timestamp() then
    raise exception 'the seat of user % on stream % is %', p_user_id, p_stream_id,
      case v_seat.state when 'active' then 'expired' else v_seat.state end
      using errcode = 'PT409', hint = 'grant the seat again';
  end if;
  return v_seat;
end
$$;
revoke all on function trollfix.require_active_seat(uuid, uuid) from public;

-- Lets an active seat last until p_until (null: until revoked). Never shortens one (22023). Said again it changes
-- nothing.
create function public.extend_seat(
  p_stream_id uuid, p_user_id uuid, p_until timestamptz, p_actor text default null, p_reason text default null
) returns public.stream_seats
language plpgsql security definer set search_path = ''
as $$
declare
  v_seat public.stream_seats;
begin
  perform trollfix.lock_seat(p_stream_id, p_user_id);
  v_seat := trollfix.require_active_seat(p_stream_id, p_user_id);
  if coalesce(p_until, 'infinity') < coalesce(v_seat.expires_at, 'infinity') then
    raise exception 'that would shorten the seat: it lasts until %',
      coalesce(to_char(v_seat.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'it is revoked')
      using errcode = '22023', hint = 'grant the seat again with the shorter time';
  end if;
  if p_until is not distinct from v_seat.expires_at then
    return v_seat;
  end if;
  update public.stream_seats s set expires_at = p_until, reason = coalesce(p_reason, s.reason)
  where s.stream_id = p_stream_id and s.user_id = p_user_id returning * into v_seat;
  perform trollfix.record_seat_event(p_stream_id, p_user_id, 'extended', p_actor, p_reason, p_until);
  return v_seat;
end
$$;

-- Takes the right to publish from an active seat, which is kept: {seat, changed, ejection_id}. The ejection carries it
-- out in the room (cause `downgraded`: permission taken, user left in). Said again it changes nothing, and asks for
-- another such round when the last one was carried out already.
create function public.downgrade_seat(
  p_stream_id uuid, p_user_id uuid, p_actor text default null, p_reason text default null
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_seat public.stream_seats;
  v_changed boolean;
begin
  perform trollfix.lock_seat(p_stream_id, p_user_id);
  v_seat := trollfix.require_active_seat(p_stream_id, p_user_id);
  v_changed := v_seat.can_publish;
  if v_changed then
    update public.stream_seats s set can_publish = false, reason = coalesce(p_reason, s.reason)
    where s.stream_id = p_stream_id and s.user_id = p_user_id returning * into v_seat;
    perform trollfix.record_seat_event(
      p_stream_id, p_user_id, 'downgraded', p_actor, p_reason, v_seat.expires_at);
  end if;
  return jsonb_build_object('seat', to_jsonb(v_seat), 'changed', v_changed,
    'ejection_id', trollfix.request_ejection(p_stream_id, p_user_id, 'downgraded'));
end
$$;

-- public.revoke_seat for each {stream_id, user_id, reason, until?} of the array, all or none of them, in one
-- transaction. Two such calls at once take their locks in the same order.
create function public.revoke_seats(p_seats jsonb, p_actor text default null)
returns table (stream_id uuid, user_id uuid, revocation jsonb)
language plpgsql security definer set search_path = ''
as $$
declare
  v_seat record;
begin
  if jsonb_typeof(p_seats) is distinct from 'array' or jsonb_array_length(p_seats) > 1000 then
    raise exception 'an array of at most 1,000 seats is needed' using errcode = '22023';
  end if;
  for v_seat in
    select distinct on (r.stream_id, r.user_id) r.stream_id, r.user_id, r.reason, r.until
    from jsonb_to_recordset(p_seats) as r (stream_id uuid, user_id uuid, reason text, until timestamptz)
    order by r.stream_id, r.user_id
  loop
    stream_id := v_seat.stream_id;
    user_id := v_seat.user_id;
    revocation := public.revoke_seat(v_seat.stream_id, v_seat.user_id, v_seat.reason, v_seat.until, p_actor);
    return next;
  end loop;
end
$$;

-- When somebody with a seat or a ban was last seen in the stream's room. Written by whoever watches the room (the
-- guard), read by moderators; no decision depends on it, so it stands apart from the seat and changes no version of it.
create table public.seat_presence (
  stream_id uuid not null references public.streams (id) on delete cascade,
  user_id uuid not null references public.profiles (id) on delete cascade,
  last_seen_at timestamptz not null,
  primary key (stream_id, user_id)
) with (fillfactor = 70); -- updated every few seconds while somebody is in the room: in place, without touching the index
create index seat_presence_user_id_idx on public.seat_presence (user_id);
revoke all on public.seat_presence from public, anon, authenticated, service_role;
alter table public.seat_presence enable row level security;
grant select on public.seat_presence to service_role;

-- Notes that these {stream_id, user_id} are in their rooms now. Pairs without a seat or ban are left out: viewers are
-- nobody's business here. Several watchers may say the same: less than a second apart is written once.
create function public.touch_seats(p_seats jsonb) returns int
language plpgsql security definer set search_path = ''
as $$
declare
  v_count int;
begin
  insert into public.seat_presence as p (stream_id, user_id, last_seen_at)
  select distinct r.stream_id, r.user_id, clock_timestamp()
  from jsonb_to_recordset(p_seats) as r (stream_id uuid, user_id uuid)
  where exists (select from public.stream_seats s where s.stream_id = r.stream_id and s.user_id = r.user_id)
    or exists (select from public.stream_bans b where b.stream_id = r.stream_id and b.user_id = r.user_id)
  order by r.stream_id, r.user_id
  on conflict (stream_id, user_id) do update set last_seen_at = excluded.last_seen_at
    where p.last_seen_at < excluded.last_seen_at - interval '1 second';
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

revoke all on function
  public.extend_seat(uuid, uuid, timestamptz, text, text),
  public.downgrade_seat(uuid, uuid, text, text),
  public.revoke_seats(jsonb, text),
  public.touch_seats(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function
  public.extend_seat(uuid, uuid, timestamptz, text, text),
  public.downgrade_seat(uuid, uuid, text, text),
  public.revoke_seats(jsonb, text),
  public.touch_seats(jsonb)
  to service_role;
