-- The same intake (000004: checks, answers, refusals) in less work. An insert of two rows costs a tenth of the call; the
-- rest was expressions and plans set up anew in every transaction, so a gift that is in order now meets one condition
-- and three plain statements, and everything about those that are not stands in functions of its own.

-- What a gift costs when the caller did not simply say a valid amount; raises what is wrong with it otherwise.
create function trollfix.price_of_gift(p_sender_id uuid, p_gift_id uuid, p_amount bigint, p_catalog_id text) returns bigint
language plpgsql set search_path = ''
as $$
declare
  v_amount bigint := p_amount;
begin
  if p_sender_id is null then
    raise exception 'sign in to send a gift' using errcode = 'PT401';
  end if;
  if p_gift_id is null then
    raise exception 'a gift needs an id' using errcode = '22004';
  end if;
  if p_catalog_id is not null then
    select c.price into v_amount from public.gift_catalog c where c.id = p_catalog_id;
    if not found then
      raise exception 'no such gift in the catalogue: %', p_catalog_id using errcode = 'PT404';
    end if;
    if p_amount <> v_amount then
      raise exception '% costs %, not %', p_catalog_id, v_amount, p_amount using errcode = '22023';
    end if;
  end if;
  if v_amount is null or v_amount not between 1 and 1000000000000 then
    raise exception 'the amount of a gift must be between 1 and 10^12: %', v_amount using errcode = '22023';
  end if;
  return v_amount;
end
$$;
revoke all on function trollfix.price_of_gift(uuid, uuid, bigint, text) from public;

-- Holds a run against its purge. False when it was purged while this waited: then the stream is gone.
create function trollfix.hold_stream_of_run(p_stream_id uuid, p_run_id text) returns boolean
language plpgsql set search_path = ''
as $$
begin
  perform trollfix.hold_run(p_run_id);
  return exists (select from public.streams s where s.id = p_stream_id);
end
$$;
revoke all on function trollfix.hold_stream_of_run(uuid, text) from public;

-- Takes a gift in: appends it to the ledger and to the queue, and moves no money yet. The sender is the caller.
-- The amount is p_amount, or the price of p_catalog_id. Same gift_id and content: same answer with duplicate = true.
create or replace function public.send_gift(
  p_gift_id uuid, p_stream_id uuid, p_receiver_id uuid, p_amount bigint default null, p_catalog_id text default null
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_sender uuid := auth.uid();
  v_amount bigint := p_amount;
  v_run text;
  v_seq bigint;
  v_at timestamptz;
  v_repeated jsonb;
begin
  if v_sender is null or p_gift_id is null or p_catalog_id is not null
    or p_amount is null or p_amount not between 1 and 1000000000000 then
    v_amount := trollfix.price_of_gift(v_sender, p_gift_id, p_amount, p_catalog_id);
  end if;

  select s.run_id into v_run
  from public.streams s, public.wallets giver, public.wallets taker
  where s.id = p_stream_id and s.status = 'live'
    and giver.user_id = v_sender and taker.user_id = p_receiver_id and v_sender <> p_receiver_id
    and giver.run_id is not distinct from s.run_id and taker.run_id is not distinct from s.run_id;
  if found and (v_run is null or trollfix.hold_stream_of_run(p_stream_id, v_run)) then
    insert into public.gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, run_id)
    values (p_gift_id, v_sender, p_receiver_id, p_stream_id, v_amount, v_run)
    on conflict (gift_id) do nothing
    returning seq, created_at into v_seq, v_at;
    if found then
      insert into public.gift_pending (seq, sender_id, receiver_id, stream_id, amount, enqueued_at, run_id)
      values (v_seq, v_sender, p_receiver_id, p_stream_id, v_amount, v_at, v_run);
      return jsonb_build_object('gift_id', p_gift_id, 'seq', v_seq, 'status', 'pending', 'duplicate', false,
        'amount', v_amount);
    end if;
  end if;

  v_repeated := trollfix.repeated_gift(p_gift_id, v_sender, p_receiver_id, p_stream_id, v_amount);
  if v_repeated is null then
    perform trollfix.refuse_gift(v_sender, p_receiver_id, p_stream_id);
  end if;
  return v_repeated;
end
$$;

-- Many gifts in one statement, for trusted intake: [{gift_id, sender_id, stream_id, receiver_id, amount}], at most 10,000.
-- All or nothing; they get their seq in the order of the list. A gift id that is there already with the same content
-- counts as duplicate. The list is read once, into arrays.
create or replace function public.send_gifts(p_gifts jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_given int := jsonb_array_length(p_gifts);
  v_ids uuid[]; v_senders uuid[]; v_streams uuid[]; v_receivers uuid[]; v_amounts bigint[];
  v_run text;
  v_accepted int;
  v_bad record;
begin
  if v_given > 10000 then
    raise exception 'at most 10000 gifts at a time, not %', v_given using errcode = '54000';
  end if;
  -- in the order of the list, which is that of the function's rows
  select array_agg(g.gift_id), array_agg(g.sender_id), array_agg(g.stream_id), array_agg(g.receiver_id), array_agg(g.amount)
  into v_ids, v_senders, v_streams, v_receivers, v_amounts
  from jsonb_to_recordset(p_gifts) as g (gift_id uuid, sender_id uuid, stream_id uuid, receiver_id uuid, amount bigint);
  for v_run in
    select distinct s.run_id from public.streams s
    where s.id = any (array(select distinct unnest(v_streams))) and s.run_id is not null order by 1
  loop
    perform trollfix.hold_run(v_run);
  end loop;

  with taken as (
    insert into public.gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, run_id)
    select g.gift_id, g.sender_id, g.receiver_id, g.stream_id, g.amount, s.run_id
    from unnest(v_ids, v_senders, v_streams, v_receivers, v_amounts)
      with ordinality as g (gift_id, sender_id, stream_id, receiver_id, amount, position)
    join public.streams s on s.id = g.stream_id and s.status = 'live'
    join public.wallets giver on giver.user_id = g.sender_id and giver.run_id is not distinct from s.run_id
    join public.wallets taker on taker.user_id = g.receiver_id and taker.run_id is not distinct from s.run_id
    where g.sender_id <> g.receiver_id
    order by g.position
    on conflict (gift_id) do nothing
    returning seq, sender_id, receiver_id, stream_id, amount, created_at, run_id
  ), queued as (
    insert into public.gift_pending (seq, sender_id, receiver_id, stream_id, amount, enqueued_at, run_id)
    select seq, sender_id, receiver_id, stream_id, amount, created_at, run_id from taken
    returning 1
  )
  select count(*) into v_accepted from queued;

  if v_accepted < v_given then
    -- rare: something was refused or repeated; find out which
    for v_bad in
      select g.* from unnest(v_ids, v_senders, v_streams, v_receivers, v_amounts)
        as g (gift_id, sender_id, stream_id, receiver_id, amount)
      left join public.gift_ledger l on l.gift_id = g.gift_id and l.sender_id = g.sender_id
        and l.stream_id = g.stream_id and l.receiver_id = g.receiver_id and l.amount = g.amount
      where l.gift_id is null
      limit 1
    loop
      if trollfix.repeated_gift(v_bad.gift_id, v_bad.sender_id, v_bad.receiver_id, v_bad.stream_id, v_bad.amount) is null then
        perform trollfix.refuse_gift(v_bad.sender_id, v_bad.receiver_id, v_bad.stream_id);
      end if;
    end loop;
  end if;
  return jsonb_build_object('accepted', v_accepted, 'duplicates', v_given - v_accepted);
end
$$;
