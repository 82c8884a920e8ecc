-- Synthetic users on a real stream: `trollfix seat verify --stream S` has some seated and banned there to see whether
-- they can come back. What is written about them belongs to their run, and goes with it.

-- An event is synthetic when its stream is, or its user.
create or replace function trollfix.record_seat_event(
  p_stream_id uuid, p_user_id uuid, p_action text, p_actor text, p_reason text, p_until timestamptz
) returns void
language sql set search_path = ''
as $$
  insert into public.seat_events (stream_id, user_id, action, actor, reason, until, run_id)
  select p_stream_id, p_user_id, p_action, p_actor, p_reason, p_until,
    coalesce((select s.run_id from public.streams s where s.id = p_stream_id),
      (select p.run_id from public.profiles p where p.id = p_user_id))
$$;
revoke all on function trollfix.record_seat_event(uuid, uuid, text, text, text, timestamptz) from public;

-- Before the users of a run are purged: what they left on streams that are not of the run.
create function trollfix.purge_seats_of_guests() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_run text := trollfix.purging_run();
  v_users uuid[];
begin
  if v_run is null then
    return null;
  end if;
  select coalesce(array_agg(p.id), '{}') into v_users from public.profiles p where p.run_id = v_run;
  delete from public.seat_ejections e where e.user_id = any (v_users);
  delete from public.seat_events e where e.user_id = any (v_users) and e.run_id = v_run;
  delete from public.stream_bans b where b.user_id = any (v_users);
  delete from public.stream_seats s where s.user_id = any (v_users);
  return null;
end
$$;
revoke all on function trollfix.purge_seats_of_guests() from public;
create trigger profiles_purge_guests before delete on public.profiles
  for each statement execute function trollfix.purge_seats_of_guests();
