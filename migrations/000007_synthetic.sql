-- Synthetic runs: the users and streams of a load run, made in one call and removed in one call.

-- A uuid that anybody can compute again from its parts. Version 8 (RFC 9562: custom), so that strict parsers take it.
create function trollfix.derived_uuid(p_parts text) returns uuid
language sql immutable strict parallel safe set search_path = ''
as $$
  select overlay(overlay(md5(p_parts) placing '8' from 13 for 1) placing '8' from 17 for 1)::uuid
$$;
revoke all on function trollfix.derived_uuid(text) from public;

-- Makes (or finds) the run's users with p_balance coins each and its streams; ids depend on run id, seed and index only.
-- Called again it adds what is missing and gives no coins twice. {users: [{id, username}], streams: [{id}]}
create function public.create_synthetic_run(
  p_run_id text, p_users int, p_streams int default 1, p_balance bigint default 0, p_seed int default 1
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_prefix text := p_run_id || ':' || p_seed || ':';
  v_users jsonb;
  v_streams jsonb;
begin
  if p_users not between 1 and 1000000 or p_streams not between 0 and 10000 then
    raise exception 'a run has 1 to 1000000 users and at most 10000 streams: %, %', p_users, p_streams
      using errcode = '22023';
  end if;
  perform trollfix.hold_run(p_run_id);
  insert into public.synthetic_runs (run_id, first_seq)
  values (p_run_id, coalesce(pg_sequence_last_value('public.gift_ledger_seq_seq'), 0))
  on conflict (run_id) do nothing;
  insert into public.profiles (id, username, display_name, run_id)
  select trollfix.derived_uuid(v_prefix || 'user:' || i), 'synthetic-' || left(md5(v_prefix), 12) || '-' || i,
    'Synthetic ' || i, p_run_id
  from generate_series(1, p_users) as i
  on conflict (id) do nothing;
  if p_balance > 0 then
    with paid as (
      insert into public.wallet_deposits (id, user_id, amount, reason, run_id)
      select trollfix.derived_uuid(v_prefix || 'deposit:' || i), trollfix.derived_uuid(v_prefix || 'user:' || i), p_balance,
        'opening balance of a synthetic run', p_run_id
      from generate_series(1, p_users) as i
      on conflict (id) do nothing
      returning user_id, amount
    )
    update public.wallets w set balance = w.balance + paid.amount, version = w.version + 1
    from paid where w.user_id = paid.user_id;
  end if;
  insert into public.streams (id, owner_id, title, run_id)
  select trollfix.derived_uuid(v_prefix || 'stream:' || i), trollfix.derived_uuid(v_prefix || 'user:1'),
    'Synthetic stream ' || i || ' of ' || p_run_id, p_run_id
  from generate_series(1, p_streams) as i
  on conflict (id) do nothing;

  select jsonb_agg(jsonb_build_object('id', trollfix.derived_uuid(v_prefix || 'user:' || i),
    'username', 'synthetic-' || left(md5(v_prefix), 12) || '-' || i) order by i)
  into v_users from generate_series(1, p_users) as i;
  select coalesce(jsonb_agg(jsonb_build_object('id', trollfix.derived_uuid(v_prefix || 'stream:' || i)) order by i), '[]')
  into v_streams from generate_series(1, p_streams) as i;
  return jsonb_build_object('users', v_users, 'streams', v_streams);
end
$$;

-- Removes every row of a run and nothing else: {table: rows removed}. Waits for what is being written for the run and
-- for a settlement round in progress. Real rows are safe from it twice: its conditions name the run, and the
-- append-only triggers let only rows of that run go.
create function public.purge_run(p_run_id text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_first_seq bigint;
  v_streams uuid[];
  v_users uuid[];
  v_removed jsonb := '{}';
  v_count bigint;
begin
  if coalesce(p_run_id, '') = '' then
    raise exception 'a run id is needed' using errcode = '22004';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('trollfix.run:' || p_run_id, 0));
  perform pg_advisory_xact_lock(29798, 1);
  perform set_config('trollfix.purging_run', p_run_id, true);
  select r.first_seq into v_first_seq from public.synthetic_runs r where r.run_id = p_run_id;
  v_first_seq := coalesce(v_first_seq, 0);
  select coalesce(array_agg(s.id), '{}') into v_streams from public.streams s where s.run_id = p_run_id;
  select coalesce(array_agg(p.id), '{}') into v_users from public.profiles p where p.run_id = p_run_id;

  delete from public.gift_pending q where q.seq > v_first_seq and q.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('gift_pending', v_count);
  delete from public.gift_settlements s where s.seq > v_first_seq and s.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('gift_settlements', v_count);
  delete from public.gift_ledger l where l.seq > v_first_seq and l.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('gift_ledger', v_count);
  delete from public.wallet_deposits d where d.user_id = any (v_users);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('wallet_deposits', v_count);
  delete from public.leaderboard_top t where t.scope = 'run:' || p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('leaderboard_top', v_count);
  delete from public.chat_messages m where m.stream_id = any (v_streams);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('chat_messages', v_count);
  delete from public.chat_throttle t where t.stream_id = any (v_streams);
  delete from public.seat_ejections e where e.stream_id = any (v_streams);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('seat_ejections', v_count);
  delete from public.seat_events e where e.stream_id = any (v_streams) and e.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('seat_events', v_count);
  delete from public.stream_bans b where b.stream_id = any (v_streams);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('stream_bans', v_count);
  delete from public.stream_seats s where s.stream_id = any (v_streams);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('stream_seats', v_count);
  delete from public.streams s where s.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('streams', v_count);
  delete from public.wallets w where w.user_id = any (v_users);
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('wallets', v_count);
  delete from public.profiles p where p.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('profiles', v_count);
  delete from public.synthetic_runs r where r.run_id = p_run_id;
  perform set_config('trollfix.purging_run', '', true);
  return v_removed;
end
$$;

revoke all on function public.create_synthetic_run(text, int, int, bigint, int), public.purge_run(text)
  from public, anon, authenticated, service_role;
grant execute on function public.create_synthetic_run(text, int, int, bigint, int), public.purge_run(text) to service_role;
