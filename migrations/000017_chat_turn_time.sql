-- A message says when its turn was taken. `created_at` was the time of the insert that follows, and a delay between the
-- two made messages that kept the pace look closer together than it allows (898 ms seen, where 900 is the least).

-- Takes one message's worth of pace and says when, or null when it is too early. The row is locked before the clock is
-- read, so of two that come at the same time the second sees what the first left. 100 ms early is let through, as
-- network jitter moves messages of a client that keeps to exactly one per second by that much; the allowance moves on
-- by a whole second all the same, so the long-run pace stays 1/s.
create function trollfix.chat_turn(p_stream_id uuid, p_user_id uuid) returns timestamptz
language plpgsql set search_path = ''
as $$
declare
  v_next timestamptz;
  v_now timestamptz;
begin
  insert into public.chat_throttle (stream_id, user_id, next_at) values (p_stream_id, p_user_id, '-infinity')
  on conflict (stream_id, user_id) do nothing;
  select t.next_at into v_next from public.chat_throttle t
  where t.stream_id = p_stream_id and t.user_id = p_user_id for update;
  v_now := clock_timestamp();
  if v_next > v_now + interval '100 milliseconds' then
    return null;
  end if;
  -- housekeeping may have removed the row of somebody silent for an hour between the two
  insert into public.chat_throttle as t (stream_id, user_id, next_at)
  values (p_stream_id, p_user_id, greatest(v_next, v_now) + interval '1 second')
  on conflict (stream_id, user_id) do update set next_at = excluded.next_at;
  return v_now;
end
$$;
revoke all on function trollfix.chat_turn(uuid, uuid) from public;

-- Writes a message as the caller. The same p_id with the same content again gives the same row and takes no turn;
-- with other content it is refused (23505).
create or replace function public.send_chat_message(p_id uuid, p_stream_id uuid, p_body text) returns public.chat_messages
language plpgsql security definer set search_path = ''
as $$
declare
  v_user uuid := auth.uid();
  v_stream record;
  v_profile record;
  v_turn timestamptz;
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
    v_turn := trollfix.chat_turn(p_stream_id, v_user);
    if v_turn is not null then
      insert into public.chat_messages (id, stream_id, user_id, body, user_name, user_avatar, run_id, created_at)
      select p_id, s.id, v_user, p_body, v_profile.name, v_profile.avatar_url, s.run_id, v_turn
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

drop function trollfix.take_chat_turn(uuid, uuid);
