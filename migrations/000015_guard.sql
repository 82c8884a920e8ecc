-- What a guard (`trollfix guard`) reads and says. It may have nothing but the project's REST API to reach the database
-- by, so each question is one function with one jsonb answer, which no row limit of the API cuts off.

-- The guards that run, by their own word. Nothing is decided by it: doctor, monitor and drills tell from it whether
-- revocations of this database are carried out by anybody.
create table public.guards (
  id text primary key,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  state jsonb not null
) with (fillfactor = 70); -- updated every few seconds in place
revoke all on public.guards from public, anon, authenticated, service_role;
alter table public.guards enable row level security;
grant select on public.guards to service_role;

-- A guard is there, and how it fares. Those that went without a farewell are forgotten after a day.
create function public.guard_heartbeat(p_id text, p_state jsonb) returns void
language sql security definer set search_path = ''
as $$
  delete from public.guards g where g.seen_at < clock_timestamp() - interval '1 day';
  insert into public.guards as g (id, state) values (p_id, p_state)
  on conflict (id) do update set seen_at = clock_timestamp(), state = excluded.state;
$$;

create function public.guard_farewell(p_id text) returns void
language sql security definer set search_path = ''
as $$
  delete from public.guards g where g.id = p_id
$$;

-- What is still to be carried out, oldest first, with what its user may do by now:
-- [{id, stream_id, user_id, room, cause, attempts, created_at_ms, banned, may_publish}]
create function public.guard_pending_ejections(p_except bigint[] default '{}', p_limit int default 500) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'id', e.id::text, 'stream_id', e.stream_id, 'user_id', e.user_id, 'room', e.room, 'cause', e.cause,
      'attempts', e.attempts, 'created_at_ms', extract(epoch from e.created_at) * 1000,
      'banned', trollfix.is_banned(e.stream_id, e.user_id),
      'may_publish', exists (select from public.stream_seats s
        where s.stream_id = e.stream_id and s.user_id = e.user_id and s.state = 'active' and s.can_publish
          and (s.expires_at is null or s.expires_at > clock_timestamp()))) order by e.id), '[]')
  from (select * from public.seat_ejections o where o.done_at is null and o.id <> all (p_except)
        order by o.id limit p_limit) e
$$;

-- Which of these LiveKit rooms somebody must be kept out of or silent in (`watched`), and which merely have seats:
-- [{room, watched, banned}]. `banned` are the ids of the 50 who were banned last, for whom a guard may lie in wait. Rooms
-- that are no live stream, or one without seats and bans, are left out.
create function public.guard_rooms(p_rooms text[]) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('room', r.room, 'watched', r.kept_out,
      'banned', array(select b.user_id from public.stream_bans b
        where b.stream_id = r.id and b.lifted_at is null
          and (b.expires_at is null or b.expires_at > clock_timestamp())
        order by b.created_at desc limit 50)) order by r.room), '[]')
  from (
    select st.id, st.id::text as room,
      exists (select from public.stream_seats s where s.stream_id = st.id) as has_seats,
      exists (select from public.stream_seats s where s.stream_id = st.id
        and (s.state <> 'active' or not s.can_publish or s.expires_at <= clock_timestamp()))
      or exists (select from public.stream_bans b where b.stream_id = st.id and b.lifted_at is null
        and (b.expires_at is null or b.expires_at > clock_timestamp())) as kept_out
    from public.streams st
    where st.status = 'live'
      -- rooms of other applications are no uuids; a cast of them would be an error
      and st.id = any (array(select n::uuid from unnest(p_rooms) n
        where n ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'))
  ) r
  where r.has_seats or r.kept_out
$$;

-- The rows of these pairs (two arrays side by side), as guard_seat_facts gives them.
create function trollfix.seat_facts(p_streams uuid[], p_users uuid[]) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('stream_id', p.stream_id, 'user_id', p.user_id,
    'ban', case when b.id is not null then jsonb_build_object('until', b.expires_at) end,
    'seat', case when s.user_id is not null then jsonb_build_object(
      'state', case when s.state = 'active' and s.expires_at <= clock_timestamp() then 'expired' else s.state end,
      'can_publish', s.can_publish, 'expires_at', s.expires_at) end)), '[]')
  from unnest(p_streams, p_users) as p (stream_id, user_id)
  left join public.stream_seats s on s.stream_id = p.stream_id and s.user_id = p.user_id
  left join public.stream_bans b on b.stream_id = p.stream_id and b.user_id = p.user_id and b.lifted_at is null
    and (b.expires_at is null or b.expires_at > clock_timestamp())
  where s.user_id is not null or b.id is not null
$$;
revoke all on function trollfix.seat_facts(uuid[], uuid[]) from public;

-- What stands in the rows about these {stream_id, user_id}, or with null about everybody on every stream that has not
-- ended: [{stream_id, user_id, ban: {until} | null, seat: {state, can_publish, expires_at} | null}]. Pairs without a row
-- are left out, bans that are over too; a seat past its time says `expired` even before it was swept.
create function public.guard_seat_facts(p_pairs jsonb default null) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_pairs is null then
    return (
      with pairs as (
        select s.stream_id, s.user_id from public.stream_seats s
        union
        select b.stream_id, b.user_id from public.stream_bans b
        where b.lifted_at is null and (b.expires_at is null or b.expires_at > clock_timestamp())
      )
      select trollfix.seat_facts(array_agg(p.stream_id), array_agg(p.user_id))
      from pairs p join public.streams st on st.id = p.stream_id where st.status <> 'ended');
  end if;
  return (
    with pairs as (
      select distinct r.stream_id, r.user_id from jsonb_to_recordset(p_pairs) as r (stream_id uuid, user_id uuid)
    )
    select trollfix.seat_facts(array_agg(p.stream_id), array_agg(p.user_id)) from pairs p);
end
$$;

revoke all on function
  public.guard_heartbeat(text, jsonb),
  public.guard_farewell(text),
  public.guard_pending_ejections(bigint[], int),
  public.guard_rooms(text[]),
  public.guard_seat_facts(jsonb)
  from public, anon, authenticated, service_role;
grant execute on function
  public.guard_heartbeat(text, jsonb),
  public.guard_farewell(text),
  public.guard_pending_ejections(bigint[], int),
  public.guard_rooms(text[]),
  public.guard_seat_facts(jsonb)
  to service_role;
