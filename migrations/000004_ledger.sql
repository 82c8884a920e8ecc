-- The gift ledger: three tables, one fact each (ledger.md §1).
--   gift_ledger       the intent; INSERT only; seq is the order, gift_id the sender's idempotency key
--   gift_settlements  the decision; INSERT only; its primary key is what makes settling exactly-once
--   gift_pending      the queue; short rows; its row count is the backlog
-- No foreign keys on the way in: each costs a row lock per gift (1.1-1.9x of the whole call, measured), and on a popular
-- stream or receiver they meet on the same row. Instead intake joins stream and wallets, wallets and streams cannot be
-- deleted while they have gifts, and settlement would fail a gift without a wallet by name instead of losing it.

create table public.gift_catalog (
  id text primary key check (char_length(id) between 1 and 64),
  name text not null,
  price bigint not null check (price > 0)
);
insert into public.gift_catalog (id, name, price) values
  ('rose', 'Rose', 1), ('coffee', 'Coffee', 10), ('rocket', 'Rocket', 100), ('crown', 'Crown', 1000);

-- 10^12 per gift: the sum of a million of them still fits a bigint.
create table public.gift_ledger (
  seq bigint generated always as identity primary key,
  gift_id uuid not null unique,
  sender_id uuid not null,
  receiver_id uuid not null,
  stream_id uuid not null,
  amount bigint not null check (amount between 1 and 1000000000000),
  created_at timestamptz not null default clock_timestamp(),
  run_id text,
  check (sender_id <> receiver_id)
) with (fillfactor = 100);

create table public.gift_settlements (
  seq bigint primary key,
  status text not null check (status in ('settled', 'failed')),
  reason text,
  fee bigint not null default 0 check (fee >= 0),
  batch_id bigint not null,
  settled_at timestamptz not null,
  run_id text,
  check ((status = 'failed') = (reason is not null)),
  check (status = 'settled' or fee = 0)
) with (fillfactor = 100);

create table public.gift_pending (
  seq bigint primary key,
  sender_id uuid not null,
  receiver_id uuid not null,
  stream_id uuid not null,
  amount bigint not null,
  enqueued_at timestamptz not null,
  run_id text
);
-- the queue turns over completely many times a day: vacuum it by churn, not by a fraction of its (tiny) size
alter table public.gift_pending set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- Coins that come in from outside. With it the books close: sum of balances + fees = sum of deposits.
create table public.wallet_deposits (
  id uuid primary key,
  user_id uuid not null,
  amount bigint not null check (amount between 1 and 1000000000000000),
  reason text not null,
  created_at timestamptz not null default clock_timestamp(),
  run_id text
);
create index wallet_deposits_user_id_idx on public.wallet_deposits (user_id);

-- One row. fee_bps: hundredths of a percent of each gift that the platform keeps.
create table public.gift_settings (
  only_row boolean primary key default true check (only_row),
  fee_bps int not null default 0 check (fee_bps between 0 and 10000),
  housekept_at timestamptz not null default now()
);
insert into public.gift_settings default values;

revoke all on public.gift_catalog, public.gift_ledger, public.gift_settlements, public.gift_pending,
  public.wallet_deposits, public.gift_settings from public, anon, authenticated, service_role;
revoke all on sequence public.gift_ledger_seq_seq from public, anon, authenticated, service_role;
alter table public.gift_catalog enable row level security;
alter table public.gift_ledger enable row level security;
alter table public.gift_settlements enable row level security;
alter table public.gift_pending enable row level security;
alter table public.wallet_deposits enable row level security;
alter table public.gift_settings enable row level security;
grant select on public.gift_catalog to anon, authenticated;
create policy gift_catalog_read on public.gift_catalog for select to anon, authenticated using (true);
grant select, insert, update, delete on public.gift_catalog to service_role;
grant select on public.gift_ledger, public.gift_settlements, public.gift_pending, public.wallet_deposits,
  public.gift_settings to service_role;

create trigger gift_ledger_refuse_change before update or delete or truncate on public.gift_ledger
  for each statement execute function trollfix.refuse_change();
create trigger gift_ledger_refuse_real_rows after delete on public.gift_ledger
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
create trigger gift_settlements_refuse_change before update or delete or truncate on public.gift_settlements
  for each statement execute function trollfix.refuse_change();
create trigger gift_settlements_refuse_real_rows after delete on public.gift_settlements
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
create trigger wallet_deposits_refuse_change before update or delete or truncate on public.wallet_deposits
  for each statement execute function trollfix.refuse_change();
create trigger wallet_deposits_refuse_real_rows after delete on public.wallet_deposits
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
alter table public.gift_ledger enable always trigger gift_ledger_refuse_change;
alter table public.gift_ledger enable always trigger gift_ledger_refuse_real_rows;
alter table public.gift_settlements enable always trigger gift_settlements_refuse_change;
alter table public.gift_settlements enable always trigger gift_settlements_refuse_real_rows;
alter table public.wallet_deposits enable always trigger wallet_deposits_refuse_change;
alter table public.wallet_deposits enable always trigger wallet_deposits_refuse_real_rows;

-- A stream that has gifts keeps its row, or the gifts would lose their leaderboard. Only a purge removes one.
create function trollfix.keep_gifted_streams() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if old.run_id is null and exists (select from public.gift_ledger l where l.stream_id = old.id) then
    raise exception 'stream % has gifts and cannot be deleted', old.id using errcode = '23503', hint = 'end it instead';
  end if;
  return old;
end
$$;
revoke all on function trollfix.keep_gifted_streams() from public;
create trigger streams_keep_gifted before delete on public.streams
  for each row execute function trollfix.keep_gifted_streams();

-- The status a gift has for a reader: pending until it has a settlement row.
create view public.gifts with (security_invoker = true) as
select l.seq, l.gift_id, l.sender_id, l.receiver_id, l.stream_id, l.amount, l.created_at, l.run_id,
  coalesce(s.status, 'pending') as status, s.reason, s.fee, s.batch_id, s.settled_at
from public.gift_ledger l left join public.gift_settlements s using (seq);

-- Double entry, derived and not stored: of each settled gift a debit, a credit and the fee (account 0). Sums to 0 per gift.
create view public.ledger_entries with (security_invoker = true) as
select l.seq, l.gift_id, e.account, e.kind, e.amount, s.settled_at, l.run_id
from public.gift_settlements s
join public.gift_ledger l using (seq)
cross join lateral (values
  (l.sender_id, 'debit', -l.amount),
  (l.receiver_id, 'credit', l.amount - s.fee),
  ('00000000-0000-0000-0000-000000000000'::uuid, 'fee', s.fee)
) as e (account, kind, amount)
where s.status = 'settled' and (e.kind <> 'fee' or s.fee > 0);

revoke all on public.gifts, public.ledger_entries from public, anon, authenticated, service_role;
grant select on public.gifts, public.ledger_entries to service_role;

-- What a gift id that was sent before answers: the same gift, or an error when its content differs.
create function trollfix.repeated_gift(
  p_gift_id uuid, p_sender_id uuid, p_receiver_id uuid, p_stream_id uuid, p_amount bigint
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_gift record;
begin
  select l.seq, l.sender_id, l.receiver_id, l.stream_id, l.amount, coalesce(s.status, 'pending') as status into v_gift
  from public.gift_ledger l left join public.gift_settlements s using (seq) where l.gift_id = p_gift_id;
  if not found then
    return null;
  end if;
  if (v_gift.sender_id, v_gift.receiver_id, v_gift.stream_id, v_gift.amount)
    is distinct from (p_sender_id, p_receiver_id, p_stream_id, p_amount) then
    raise exception 'gift id % is taken by a gift with other contents', p_gift_id using errcode = '23505';
  end if;
  return jsonb_build_object('gift_id', p_gift_id, 'seq', v_gift.seq, 'status', v_gift.status, 'duplicate', true,
    'amount', v_gift.amount);
end
$$;
revoke all on function trollfix.repeated_gift(uuid, uuid, uuid, uuid, bigint) from public;

-- Says why a gift was not accepted; called only when it was not.
create function trollfix.refuse_gift(p_sender_id uuid, p_receiver_id uuid, p_stream_id uuid) returns void
language plpgsql set search_path = ''
as $$
declare
  v_stream record;
begin
  select s.status, s.run_id into v_stream from public.streams s where s.id = p_stream_id;
  if not found then
    raise exception 'no such stream: %', p_stream_id using errcode = 'PT404';
  end if;
  if v_stream.status = 'ended' then
    raise exception 'the stream has ended' using errcode = 'PT409';
  end if;
  if p_sender_id = p_receiver_id then
    raise exception 'a gift needs two people' using errcode = '22023';
  end if;
  if not exists (select from public.wallets w where w.user_id = p_receiver_id) then
    raise exception 'no such receiver: %', p_receiver_id using errcode = 'PT404';
  end if;
  if not exists (select from public.wallets w where w.user_id = p_sender_id) then
    raise exception 'no such sender: %', p_sender_id using errcode = 'PT404';
  end if;
  raise exception 'stream, sender and receiver of a gift must belong to the same run, or to none' using errcode = 'PT409';
end
$$;
revoke all on function trollfix.refuse_gift(uuid, uuid, uuid) from public;

-- Takes a gift in: appends it to the ledger and to the queue, and moves no money yet. The sender is the caller.
-- The amount is p_amount, or the price of p_catalog_id. Same gift_id and content: same answer with duplicate = true.
create function public.send_gift(
  p_gift_id uuid, p_stream_id uuid, p_receiver_id uuid, p_amount bigint default null, p_catalog_id text default null
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_sender uuid := auth.uid();
  v_amount bigint := p_amount;
  v_run text;
  v_seq bigint;
  v_repeated jsonb;
begin
  if v_sender is null then
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

  select s.run_id into v_run from public.streams s where s.id = p_stream_id;
  if v_run is not null then
    perform trollfix.hold_run(v_run);
  end if;
  with taken as (
    insert into public.gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, run_id)
    select p_gift_id, v_sender, p_receiver_id, s.id, v_amount, s.run_id
    from public.streams s, public.wallets giver, public.wallets taker
    where s.id = p_stream_id and s.status = 'live'
      and giver.user_id = v_sender and taker.user_id = p_receiver_id and v_sender <> p_receiver_id
      and giver.run_id is not distinct from s.run_id and taker.run_id is not distinct from s.run_id
    on conflict (gift_id) do nothing
    returning seq, created_at, run_id
  )
  insert into public.gift_pending (seq, sender_id, receiver_id, stream_id, amount, enqueued_at, run_id)
  select t.seq, v_sender, p_receiver_id, p_stream_id, v_amount, t.created_at, t.run_id from taken t
  returning seq into v_seq;
  if v_seq is not null then
    return jsonb_build_object('gift_id', p_gift_id, 'seq', v_seq, 'status', 'pending', 'duplicate', false, 'amount', v_amount);
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
-- counts as duplicate.
create function public.send_gifts(p_gifts jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  v_given int := jsonb_array_length(p_gifts);
  v_run text;
  v_accepted int;
  v_bad record;
begin
  if v_given > 10000 then
    raise exception 'at most 10000 gifts at a time, not %', v_given using errcode = '54000';
  end if;
  for v_run in
    select distinct s.run_id from jsonb_to_recordset(p_gifts) as g (stream_id uuid)
    join public.streams s on s.id = g.stream_id where s.run_id is not null order by 1
  loop
    perform trollfix.hold_run(v_run);
  end loop;

  with given as materialized (
    select g.*, s.id is not null and giver.user_id is not null and taker.user_id is not null as fits, s.run_id
    from rows from (jsonb_to_recordset(p_gifts)
      as (gift_id uuid, sender_id uuid, stream_id uuid, receiver_id uuid, amount bigint))
      with ordinality as g (gift_id, sender_id, stream_id, receiver_id, amount, position)
    left join public.streams s on s.id = g.stream_id and s.status = 'live'
    left join public.wallets giver on giver.user_id = g.sender_id and giver.run_id is not distinct from s.run_id
    left join public.wallets taker on taker.user_id = g.receiver_id and taker.run_id is not distinct from s.run_id
  ), taken as (
    insert into public.gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, run_id)
    select gift_id, sender_id, receiver_id, stream_id, amount, run_id from given where fits order by position
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
      select g.* from jsonb_to_recordset(p_gifts)
        as g (gift_id uuid, sender_id uuid, stream_id uuid, receiver_id uuid, amount bigint)
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

-- Coins for a wallet, once per p_deposit_id. Returns the balance after it.
create function public.deposit_coins(p_deposit_id uuid, p_user_id uuid, p_amount bigint, p_reason text) returns bigint
language plpgsql security definer set search_path = ''
as $$
declare
  v_deposit public.wallet_deposits;
  v_balance bigint;
  v_run text;
begin
  select w.balance, w.run_id into v_balance, v_run from public.wallets w where w.user_id = p_user_id for no key update;
  if not found then
    raise exception 'no such user: %', p_user_id using errcode = 'PT404';
  end if;
  insert into public.wallet_deposits (id, user_id, amount, reason, run_id)
  values (p_deposit_id, p_user_id, p_amount, p_reason, v_run)
  on conflict (id) do nothing;
  if not found then
    select * into v_deposit from public.wallet_deposits d where d.id = p_deposit_id;
    if v_deposit.user_id <> p_user_id or v_deposit.amount <> p_amount then
      raise exception 'deposit id % is taken by another deposit', p_deposit_id using errcode = '23505';
    end if;
    return v_balance;
  end if;
  update public.wallets w set balance = w.balance + p_amount, version = w.version + 1
  where w.user_id = p_user_id returning w.balance into v_balance;
  return v_balance;
end
$$;

revoke all on function
  public.send_gift(uuid, uuid, uuid, bigint, text), public.send_gifts(jsonb),
  public.deposit_coins(uuid, uuid, bigint, text)
  from public, anon, authenticated, service_role;
grant execute on function public.send_gift(uuid, uuid, uuid, bigint, text) to authenticated;
grant execute on function public.send_gifts(jsonb), public.deposit_coins(uuid, uuid, bigint, text) to service_role;
