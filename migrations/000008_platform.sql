-- What ties the schema to the platform: sign-up trigger, Realtime's publication and policies, settlement schedule.
-- Each part is there on hosted Supabase and may be absent elsewhere, or come later, so it is put into functions that
-- change only what is missing; `trollfix provision` calls them every time.

-- Postgres Changes needs these tables in the publication. Returns those that were added.
create function trollfix.attach_publication() returns text[]
language plpgsql set search_path = ''
as $$
declare
  v_table text;
  v_added text[] := '{}';
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  elsif (select puballtables from pg_publication where pubname = 'supabase_realtime') then
    return v_added;
  end if;
  foreach v_table in array array['chat_messages', 'stream_seats', 'stream_bans', 'streams', 'leaderboard_top'] loop
    if not exists (select from pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = v_table) then
      execute format('alter publication supabase_realtime add table public.%I', v_table);
      v_added := v_added || v_table;
    end if;
  end loop;
  return v_added;
end
$$;
revoke all on function trollfix.attach_publication() from public;

-- Whether the caller may use a private channel: `chat:<stream id>` and `stream:<stream id>`, unless banned there.
create function trollfix.may_use_topic(p_topic text) returns boolean
language sql stable security definer set search_path = ''
as $$
  select case
    when p_topic ~ '^(chat|stream):[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
      then auth.uid() is not null and not trollfix.is_banned(split_part(p_topic, ':', 2)::uuid, auth.uid())
    else false
  end
$$;
revoke all on function trollfix.may_use_topic(text) from public;
grant execute on function trollfix.may_use_topic(text) to authenticated;

create function trollfix.attach_realtime_policies() returns boolean
language plpgsql set search_path = ''
as $$
declare
  v_added boolean := false;
begin
  if to_regclass('realtime.messages') is null then
    return false;
  end if;
  if not exists (select from pg_policies
    where schemaname = 'realtime' and tablename = 'messages' and policyname = 'trollfix_channel_read') then
    execute $policy$create policy trollfix_channel_read on realtime.messages for select to authenticated
      using (extension in ('broadcast', 'presence') and trollfix.may_use_topic((select realtime.topic())))$policy$;
    v_added := true;
  end if;
  if not exists (select from pg_policies
    where schemaname = 'realtime' and tablename = 'messages' and policyname = 'trollfix_channel_write') then
    execute $policy$create policy trollfix_channel_write on realtime.messages for insert to authenticated
      with check (extension in ('broadcast', 'presence') and trollfix.may_use_topic((select realtime.topic())))$policy$;
    v_added := true;
  end if;
  return v_added;
end
$$;
revoke all on function trollfix.attach_realtime_policies() from public;

create function trollfix.attach_sign_up() returns boolean
language plpgsql set search_path = ''
as $$
begin
  if to_regclass('auth.users') is null or exists (select from pg_trigger
    where tgrelid = to_regclass('auth.users') and tgname = 'trollfix_create_profile') then
    return false;
  end if;
  execute 'create trigger trollfix_create_profile after insert on auth.users
    for each row execute function trollfix.create_profile()';
  return true;
end
$$;
revoke all on function trollfix.attach_sign_up() from public;

-- The schedule that this database can have. pg_cron knows seconds since 1.5; before that a job runs once a minute and
-- drains six times. Without pg_cron it is the settler's (`trollfix settle --watch`).
create function trollfix.settlement_schedule() returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce((
    select case when string_to_array(regexp_replace(e.extversion, '[^0-9.].*$', ''), '.')::int[] >= array[1, 5]
      then jsonb_build_object('kind', 'pg_cron', 'version', e.extversion, 'job', 'trollfix-settle',
        'schedule', '10 seconds', 'command', 'call public.drain_gift_ledger()')
      else jsonb_build_object('kind', 'pg_cron', 'version', e.extversion, 'job', 'trollfix-settle',
        'schedule', '* * * * *', 'command', 'call public.drain_gift_ledger_for_a_minute()')
      end
    from pg_extension e where e.extname = 'pg_cron'
  ), '{"kind": "settler"}')
$$;
revoke all on function trollfix.settlement_schedule() from public;

-- Makes the schedule so. Gives {kind, schedule?, command?, changed, reason?}. pg_cron is installed where the server
-- offers it and this role may; where not, that is no error.
create function trollfix.attach_schedule() returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_wanted jsonb;
  v_same boolean;
  v_reason text;
begin
  if not exists (select from pg_extension where extname = 'pg_cron')
    and exists (select from pg_available_extensions where name = 'pg_cron') then
    begin
      execute 'create extension pg_cron with schema pg_catalog';
    exception when others then
      v_reason := 'pg_cron is available but cannot be installed: ' || sqlerrm;
    end;
  end if;
  v_wanted := trollfix.settlement_schedule();
  if v_wanted ->> 'kind' = 'settler' then
    return v_wanted || jsonb_build_object('changed', false, 'reason', coalesce(v_reason, 'no pg_cron on this server'));
  end if;
  execute 'select exists (select from cron.job j where j.jobname = $1 and j.schedule = $2 and j.command = $3
    and j.active and j.username = current_user and j.database = current_database())'
  into v_same using v_wanted ->> 'job', v_wanted ->> 'schedule', v_wanted ->> 'command';
  if not v_same then
    -- taken out first: scheduling over a job that is switched off leaves it so, and alter_job is not everybody's to call
    execute 'select cron.unschedule(j.jobid) from cron.job j where j.jobname = $1 and j.username = current_user'
    using v_wanted ->> 'job';
    execute 'select cron.schedule($1, $2, $3)'
    using v_wanted ->> 'job', v_wanted ->> 'schedule', v_wanted ->> 'command';
  end if;
  return v_wanted || jsonb_build_object('changed', not v_same);
end
$$;
revoke all on function trollfix.attach_schedule() from public;

-- All of it, each part on its own: one that this role may not do is reported under `problems` and keeps nothing back.
create function trollfix.attach_platform() returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_result jsonb := '{"problems": []}';
  v_part record;
  v_answer jsonb;
begin
  for v_part in
    select * from (values
      ('publication', 'select to_jsonb(trollfix.attach_publication())'),
      ('realtime_policies', 'select to_jsonb(trollfix.attach_realtime_policies())'),
      ('sign_up', 'select to_jsonb(trollfix.attach_sign_up())'),
      ('schedule', 'select trollfix.attach_schedule()')
    ) as p (name, call)
  loop
    begin
      execute v_part.call into v_answer;
      v_result := jsonb_set(v_result, array[v_part.name], v_answer);
    exception when others then
      v_result := jsonb_set(v_result, '{problems,-1}',
        jsonb_build_object('part', v_part.name, 'sqlstate', sqlstate, 'message', sqlerrm), true);
    end;
  end loop;
  return v_result;
end
$$;
revoke all on function trollfix.attach_platform() from public;

select trollfix.attach_platform();
