-- Chat: messages carry the sender's name and avatar so that showing one needs no join, and the pace of one message
-- per second, user and stream is kept here too, because a client can skip its own throttle.

create table public.chat_messages (
  id uuid primary key,
  stream_id uuid not null,
  user_id uuid not null,
  body text not null check (char_length(body) between 1 and 500),
  user_name text not null,
  user_avatar text,
  created_at timestamptz not null default clock_timestamp(),
  run_id text
);
create index chat_messages_stream_id_idx on public.chat_messages (stream_id, created_at);

-- next_at is when the allowance of the next message is reached (GCRA). Unlogged: after a crash it starts empty,
-- which is worth one message per user and saves a WAL record per message.
create unlogged table public.chat_throttle (
  stream_id uuid not null,
  user_id uuid not null,
  next_at timestamptz not null,
  primary key (stream_id, user_id)
) with (fillfactor = 70);

revoke all on public.chat_messages, public.chat_throttle from public, anon, authenticated, service_role;
alter table public.chat_messages enable row level security;
alter table public.chat_throttle enable row level security;
grant select on public.chat_messages to anon, authenticated;
grant select, delete on public.chat_messages to service_role;
create policy chat_messages_read_anon on public.chat_messages for select to anon using (true);
create policy chat_messages_read on public.chat_messages for select to authenticated
  using (stream_id not in (select trollfix.my_banned_streams()));

-- Takes one message's worth of pace. The row is locked before the condition is looked at, so of two that come at the
-- same time the second sees what the first left. 100 ms early is let through, as network jitter moves messages of a
-- client that keeps to exactly one per second by that much; the allowance moves on by a whole second all the same,
-- so the long-run pace stays 1/s.
create function trollfix.take_chat_turn(p_stream_id uuid, p_user_id uuid) returns boolean
language plpgsql set search_path = ''
as $$
begin
  insert into public.chat_throttle as t (stream_id, user_id, next_at)
  values (p_stream_id, p_user_id, clock_timestamp() + interval '1 second')
  on conflict (stream_id, user_id) do update
    set next_at = greatest(t.next_at, clock_timestamp()) + interval '1 second'
    where t.next_at <= clock_timestamp() + interval '100 milliseconds';
  return found;
end
$$;
revoke all on function trollfix.take_chat_turn(uuid, uuid) from public;

-- Writes a message as the caller. The same p_id with the same content again gives the same row and takes no turn;
-- with other content it is refused (23505).
create function public.send_chat_message(p_id uuid, p_stream_id uuid, p_body text) returns public.chat_messages
language plpgsql security definer set search_path = ''
as $$
declare
  v_user uuid := auth.uid();
  v_stream record;
  v_profile record;
  v_message public.chat_messages;
begin
  if v_user is null then
    raise exception 'sign in to chat' using errcode = 'PT401';
  end if;
  if p_id is null then
    raise exception 'a message needs an id' using errcode = '22004';
  end if;
  select * into v_message from public.chat_messages m where m.id = p_id;
  if not found then
    select s.run_id, s.status into v_stream from public.streams s where s.id = p_stream_id;
    if not found then
      raise exception 'no such stream: %', p_stream_id using errcode = 'PT404';
    end if;
    perform trollfix.hold_run(v_stream.run_id);
    if v_stream.status = 'ended' then
      raise exception 'the stream has ended' using errcode = 'PT409';
    end if;
    select coalesce(p.display_name, p.username) as name, p.avatar_url, p.run_id into v_profile
    from public.profiles p where p.id = v_user;
    if not found then
      raise exception 'no profile for user %', v_user using errcode = 'PT403';
    end if;
    if v_profile.run_id is not null and v_profile.run_id is distinct from v_stream.run_id then
      raise exception 'a synthetic user stays in its own run' using errcode = 'PT403';
    end if;
    if trollfix.is_banned(p_stream_id, v_user) then
      raise exception 'banned from this stream' using errcode = 'PT403';
    end if;
    if trollfix.take_chat_turn(p_stream_id, v_user) then
      insert into public.chat_messages (id, stream_id, user_id, body, user_name, user_avatar, run_id)
      select p_id, s.id, v_user, p_body, v_profile.name, v_profile.avatar_url, s.run_id
      from public.streams s where s.id = p_stream_id
      on conflict (id) do nothing
      returning * into v_message;
      if found then
        return v_message;
      end if;
    end if;
    -- too fast, or the id is taken: by the same message, sent twice at the same time, it is no error
    select * into v_message from public.chat_messages m where m.id = p_id;
    if not found then
      raise exception 'chat rate limit: 1 message per second' using errcode = 'PT429';
    end if;
  end if;
  if v_message.user_id <> v_user or v_message.stream_id is distinct from p_stream_id or v_message.body is distinct from p_body then
    raise exception 'message id % is taken by another message', p_id using errcode = '23505';
  end if;
  return v_message;
end
$$;
revoke all on function public.send_chat_message(uuid, uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.send_chat_message(uuid, uuid, text) to authenticated;
