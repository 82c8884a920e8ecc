-- What a browser must know about its own seat, in one statement: the seat, the ban that is in force, and the time by
-- which both are to be judged. Two reads of two tables could fall on either side of a revocation, and a client's own
-- clock may be an hour off. With the caller's rights: row security shows people their own rows and nothing else.
create function public.my_stream_seat(p_stream_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'now', clock_timestamp(),
    'user_id', auth.uid(),
    'seat', (select jsonb_build_object('role', s.role, 'can_publish', s.can_publish, 'state', s.state,
        'granted_at', s.granted_at, 'expires_at', s.expires_at, 'reason', s.reason)
      from public.stream_seats s where s.stream_id = p_stream_id and s.user_id = auth.uid()),
    'ban', (select jsonb_build_object('reason', b.reason, 'expires_at', b.expires_at)
      from public.stream_bans b
      where b.user_id = auth.uid() and b.stream_id = p_stream_id and b.lifted_at is null
        and (b.expires_at is null or b.expires_at > clock_timestamp())))
$$;
revoke all on function public.my_stream_seat(uuid) from public, anon, authenticated, service_role;
grant execute on function public.my_stream_seat(uuid) to authenticated;
