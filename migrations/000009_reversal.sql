-- Taking a gift back. A reversal is one more appended row: gift and settlement stay as they are, and who took it back,
-- when and why is on record for good.
--
-- Rules
--   once     a gift is reversed at most once: the primary key is the gift's seq. Asked again: the first answer
--   settled  only a settled gift; a pending one is not decided yet, a failed one moved nothing
--   whole    the sender gets the full amount: what the receiver got comes from the receiver, the fee from the platform
--   covered  a receiver who has less than that keeps it: the reversal is refused and nothing moves. No partial
--            reversals, no debts: balances stay >= 0. Deposit coins first, or try again later
--   boards   totals fall by the gift, in every scope it counts in

create table public.gift_reversals (
  seq bigint primary key,
  reversal_id bigint generated always as identity unique,
  gift_id uuid not null unique,
  sender_id uuid not null,
  receiver_id uuid not null,
  amount bigint not null check (amount > 0),
  fee bigint not null check (fee between 0 and amount),
  reason text not null check (char_length(reason) between 1 and 500),
  actor text not null check (char_length(actor) between 1 and 200),
  reversed_at timestamptz not null default clock_timestamp(),
  run_id text
) with (fillfactor = 100);

revoke all on public.gift_reversals from public, anon, authenticated, service_role;
revoke all on sequence public.gift_reversals_reversal_id_seq from public, anon, authenticated, service_role;
alter table public.gift_reversals enable row level security;
grant select on public.gift_reversals to service_role;

create trigger gift_reversals_refuse_change before update or delete or truncate on public.gift_reversals
  for each statement execute function trollfix.refuse_change();
create trigger gift_reversals_refuse_real_rows after delete on public.gift_reversals
  referencing old table as gone for each statement execute function trollfix.refuse_real_rows();
alter table public.gift_reversals enable always trigger gift_reversals_refuse_change;
alter table public.gift_reversals enable always trigger gift_reversals_refuse_real_rows;

-- status: pending until there is a settlement, reversed once there is a reversal.
create or replace view public.gifts with (security_invoker = true) as
select l.seq, l.gift_id, l.sender_id, l.receiver_id, l.stream_id, l.amount, l.created_at, l.run_id,
  case when r.seq is not null then 'reversed' else coalesce(s.status, 'pending') end as status,
  s.reason, s.fee, s.batch_id, s.settled_at, r.reversal_id, r.reversed_at, r.reason as reversal_reason,
  r.actor as reversed_by
from public.gift_ledger l
left join public.gift_settlements s using (seq)
left join public.gift_reversals r using (seq);

-- Of each settled gift a debit, a credit and the fee (account 0); of each reversal the same lines the other way.
-- Sums to 0 per gift and kind of event. settled_at is when the line was booked.
create or replace view public.ledger_entries with (security_invoker = true) as
select l.seq, l.gift_id, e.account, e.kind, e.amount, s.settled_at, l.run_id
from public.gift_settlements s
join public.gift_ledger l using (seq)
cross join lateral (values
  (l.sender_id, 'debit', -l.amount),
  (l.receiver_id, 'credit', l.amount - s.fee),
  ('00000000-0000-0000-0000-000000000000'::uuid, 'fee', s.fee)
) as e (account, kind, amount)
where s.status = 'settled' and (e.kind <> 'fee' or s.fee > 0)
union all
select r.seq, r.gift_id, e.account, e.kind, e.amount, r.reversed_at, r.run_id
from public.gift_reversals r
cross join lateral (values
  (r.sender_id, 'reversal_credit', r.amount),
  (r.receiver_id, 'reversal_debit', r.fee - r.amount),
  ('00000000-0000-0000-0000-000000000000'::uuid, 'reversal_fee', -r.fee)
) as e (account, kind, amount)
where e.kind <> 'reversal_fee' or r.fee > 0;

create or replace function trollfix.repeated_gift(
  p_gift_id uuid, p_sender_id uuid, p_receiver_id uuid, p_stream_id uuid, p_amount bigint
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  v_gift record;
begin
  select g.seq, g.sender_id, g.receiver_id, g.stream_id, g.amount, g.status into v_gift
  from public.gifts g where g.gift_id = p_gift_id;
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

-- Makes a scope's cached list again from its board. Merging is exact only while totals rise; after one fell, somebody
-- who is not on the list may have come to belong there. Called under the settlement lock.
create function trollfix.rebuild_top(p_scope text) returns void
language plpgsql set search_path = '' set plan_cache_mode = 'force_custom_plan' set jit = 'off'
as $$
declare
  v_day date := case when p_scope like 'd:%' then substr(p_scope, 3)::date end;
  v_stream uuid := case when p_scope like 's:%' then substr(p_scope, 3)::uuid end;
  v_run text := case when p_scope like 'run:%' then substr(p_scope, 5) end;
begin
  with board as (
    select d.user_id, d.total, d.gifts from public.leaderboard_days d where d.day = v_day
    union all
    select s.user_id, s.total, s.gifts from public.leaderboard_streams s where s.stream_id = v_stream
    union all
    select w.user_id, w.gifted_total, w.gifted_count from public.wallets w
    where w.gifted_count > 0 and ((p_scope = 'all' and w.run_id is null) or w.run_id = v_run)
  ), best as (
    select b.*, row_number() over (order by b.total desc, b.user_id) as rank
    from board b order by b.total desc, b.user_id limit 100
  ), list as (
    select
      coalesce(jsonb_agg(jsonb_build_object('rank', b.rank, 'user_id', b.user_id, 'username', p.username,
        'display_name', p.display_name, 'avatar_url', p.avatar_url, 'total', b.total, 'gifts', b.gifts) order by b.rank),
        '[]') as top,
      case when count(*) = 100 then min(b.total) else 0 end as last_total
    from best b left join public.profiles p on p.id = b.user_id
  )
  update public.leaderboard_top t set top = list.top, last_total = list.last_total, updated_at = clock_timestamp()
  from list where t.scope = p_scope;
end
$$;
revoke all on function trollfix.rebuild_top(text) from public;

-- What a reversal answers; the same for the first call and every repetition.
create function trollfix.reversal_answer(p_seq bigint, p_duplicate boolean) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object('gift_id', r.gift_id, 'reversal_id', r.reversal_id, 'seq', r.seq, 'status', 'reversed',
    'amount', r.amount, 'fee', r.fee, 'sender_id', r.sender_id, 'receiver_id', r.receiver_id, 'reason', r.reason,
    'actor', r.actor, 'reversed_at', r.reversed_at, 'run_id', r.run_id, 'duplicate', p_duplicate)
  from public.gift_reversals r where r.seq = p_seq
$$;
revoke all on function trollfix.reversal_answer(bigint, boolean) from public;

-- Takes a gift back and gives trollfix.reversal_answer. Refusals, all without any change:
--   22023  no gift id or no reason
--   PT404  no such gift
--   PT409  it cannot be reversed; detail says why: pending, failed, insufficient_funds, no_wallet
--   55P03  another session settles for longer than 10 s
create function public.reverse_gift(p_gift_id uuid, p_reason text, p_actor text default null) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '10s'
as $$
declare
  v_gift record;
  v_status record;
  v_receiver_balance bigint;
  v_wallets int;
  v_scope text;
begin
  if p_gift_id is null or coalesce(btrim(p_reason), '') = '' then
    raise exception 'a reversal needs a gift id and a reason' using errcode = '22023';
  end if;
  select l.* into v_gift from public.gift_ledger l where l.gift_id = p_gift_id;
  if not found then
    raise exception 'no such gift: %', p_gift_id using errcode = 'PT404';
  end if;
  -- in the order of purge_run: run, settlement, wallets. Under the settlement lock no round decides and no other
  -- reversal is at work; the statements after it see what was committed before.
  perform trollfix.hold_run(v_gift.run_id);
  perform pg_advisory_xact_lock(29798, 1);
  if exists (select from public.gift_reversals r where r.seq = v_gift.seq) then
    return trollfix.reversal_answer(v_gift.seq, true);
  end if;
  select s.status, s.fee, s.reason into v_status from public.gift_settlements s where s.seq = v_gift.seq;
  if not found then
    raise exception 'gift % is not settled yet', p_gift_id
      using errcode = 'PT409', detail = 'pending', hint = 'reverse it after the next settlement run';
  elsif v_status.status = 'failed' then
    raise exception 'gift % failed (%): it moved no coins', p_gift_id, v_status.reason
      using errcode = 'PT409', detail = 'failed';
  end if;

  select count(*), min(w.balance) filter (where w.user_id = v_gift.receiver_id) into v_wallets, v_receiver_balance
  from (
    select l.user_id, l.balance from public.wallets l where l.user_id in (v_gift.sender_id, v_gift.receiver_id)
    order by l.user_id for no key update
  ) w;
  if v_wallets < 2 then
    raise exception 'a wallet of gift % is gone', p_gift_id using errcode = 'PT409', detail = 'no_wallet';
  end if;
  if v_receiver_balance < v_gift.amount - v_status.fee then
    raise exception 'the receiver of gift % has % coins of the % to give back', p_gift_id, v_receiver_balance,
      v_gift.amount - v_status.fee
      using errcode = 'PT409', detail = 'insufficient_funds', hint = 'deposit coins to the receiver first';
  end if;

  insert into public.gift_reversals (seq, gift_id, sender_id, receiver_id, amount, fee, reason, actor, run_id)
  values (v_gift.seq, p_gift_id, v_gift.sender_id, v_gift.receiver_id, v_gift.amount, v_status.fee, btrim(p_reason),
    coalesce(nullif(btrim(p_actor), ''), auth.uid()::text, session_user), v_gift.run_id);
  update public.wallets w set
    balance = w.balance + case when w.user_id = v_gift.sender_id then v_gift.amount else v_status.fee - v_gift.amount end,
    version = w.version + 1,
    gifted_total = w.gifted_total - case when w.user_id = v_gift.sender_id then v_gift.amount else 0 end,
    gifted_count = w.gifted_count - case when w.user_id = v_gift.sender_id then 1 else 0 end
  where w.user_id in (v_gift.sender_id, v_gift.receiver_id);
  if v_gift.run_id is null then
    perform trollfix.lower_boards(v_gift.sender_id, v_gift.stream_id,
      (v_gift.created_at at time zone 'UTC')::date, v_gift.amount);
  end if;

  -- a list without the sender stays right: their total only fell
  for v_scope in
    select t.scope from public.leaderboard_top t
    where t.scope = any (case when v_gift.run_id is not null then array['run:' || v_gift.run_id] else array['all',
        's:' || v_gift.stream_id, 'd:' || to_char(v_gift.created_at at time zone 'UTC', 'YYYY-MM-DD')] end)
      and t.top @> jsonb_build_array(jsonb_build_object('user_id', v_gift.sender_id))
    order by t.scope
  loop
    perform trollfix.rebuild_top(v_scope);
  end loop;
  return trollfix.reversal_answer(v_gift.seq, false);
end
$$;

-- One gift less in the boards of a day and a stream. Who has no gift left is not on a board. A day that housekeeping
-- has taken away already has no rows to lower.
create function trollfix.lower_boards(p_sender_id uuid, p_stream_id uuid, p_day date, p_amount bigint) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.leaderboard_days d set total = d.total - p_amount, gifts = d.gifts - 1
  where d.day = p_day and d.user_id = p_sender_id;
  delete from public.leaderboard_days d where d.day = p_day and d.user_id = p_sender_id and d.gifts = 0;
  update public.leaderboard_streams s set total = s.total - p_amount, gifts = s.gifts - 1
  where s.stream_id = p_stream_id and s.user_id = p_sender_id;
  delete from public.leaderboard_streams s
  where s.stream_id = p_stream_id and s.user_id = p_sender_id and s.gifts = 0;
end
$$;
revoke all on function trollfix.lower_boards(uuid, uuid, date, bigint) from public;

revoke all on function public.reverse_gift(uuid, text, text) from public, anon, authenticated, service_role;
grant execute on function public.reverse_gift(uuid, text, text) to service_role;

-- Removes every row of a run and nothing else: {table: rows removed}. Waits for what is being written for the run and
-- for a settlement round in progress. Real rows are safe from it twice: its conditions name the run, and the
-- append-only triggers let only rows of that run go.
create or replace function public.purge_run(p_run_id text) returns jsonb
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
  delete from public.gift_reversals r where r.seq > v_first_seq and r.run_id = p_run_id;
  get diagnostics v_count = row_count; v_removed := v_removed || jsonb_build_object('gift_reversals', v_count);
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
