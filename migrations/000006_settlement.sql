-- Settlement: who can pay, decided in sets.
--
-- Rules (ledger.md §1):
--   order   a sender's gifts are decided in seq order
--   greedy  a gift is paid if the sender's money left covers it, else it fails for good and takes nothing, and later,
--           cheaper ones are still tried
--   rounds  coins received in a round can be spent from the next round on
--   final   a failed gift stays failed; a retry is a new gift_id
-- Guards: one decider at a time (advisory lock; SKIP LOCKED alone would let two claimers decide one sender's gifts out
-- of order), wallets locked in user_id order FOR NO KEY UPDATE (FOR UPDATE would block the key share locks of foreign
-- keys), the primary key of gift_settlements (nothing is settled twice), balance >= 0.

create table public.gift_batch_logs (
  id bigint generated always as identity primary key,
  trigger_source text not null,
  backend_pid int not null default pg_backend_pid(),
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  rounds int not null default 0,
  claimed bigint not null default 0,
  settled bigint not null default 0,
  failed bigint not null default 0,
  coins_moved bigint not null default 0,
  backlog_count bigint,
  oldest_pending_age interval,
  ingest_per_s double precision,
  drain_per_s double precision,
  stop_reason text check (stop_reason in ('empty', 'budget', 'skipped_locked', 'error', 'batch')),
  error text
);
create index gift_batch_logs_started_at_idx on public.gift_batch_logs (started_at);
revoke all on public.gift_batch_logs from public, anon, authenticated, service_role;
revoke all on sequence public.gift_batch_logs_id_seq from public, anon, authenticated, service_role;
alter table public.gift_batch_logs enable row level security;
grant select on public.gift_batch_logs to service_role;

-- The advisory lock of settlement (29798 = 'tf'). Held by a round to its end, by purge_run, and by whatever else decides
-- over wallets.
create function trollfix.try_settlement_lock() returns boolean
language sql set search_path = ''
as $$ select pg_try_advisory_xact_lock(29798, 1) $$;
revoke all on function trollfix.try_settlement_lock() from public;

-- One round in the caller's transaction. busy = another session is settling; nothing was done then.
-- force_custom_plan lets the planner see the size of the arrays; JIT would take longer than the round; and without
-- enable_seqscan = off a round of 10,000 gifts reads a table of 100,000 wallets from end to end.
create function trollfix.settle_round(
  p_limit int, p_batch_id bigint,
  out claimed int, out settled int, out failed int, out coins bigint, out busy boolean
)
language plpgsql security definer
set search_path = '' set plan_cache_mode = 'force_custom_plan' set jit = 'off' set work_mem = '64MB'
set enable_seqscan = 'off'
as $$
declare
  v_now timestamptz;
  v_fee_bps int;
  v_rows tid[]; v_seqs bigint[]; v_senders uuid[]; v_receivers uuid[]; v_amounts bigint[];
  v_payers uuid[]; v_due bigint[]; v_people uuid[];
  v_wallets uuid[]; v_balances bigint[];
  v_overdrawn uuid[];
  v_refused bigint[] := '{}';
  v_unknown bigint[] := '{}';
  v_sender uuid;
  v_left bigint;
  v_gift record;
  v_scopes text[]; v_scored uuid[]; v_totals bigint[]; v_counts bigint[];
begin
  claimed := 0; settled := 0; failed := 0; coins := 0; busy := false;
  if not trollfix.try_settlement_lock() then
    busy := true;
    return;
  end if;
  -- the time of the decision, not of the transaction's start
  v_now := clock_timestamp();
  select s.fee_bps into v_fee_bps from public.gift_settings s;

  -- Claim. Rows that somebody else holds (an operator, not another drainer: that one is busy) are passed over.
  select array_agg(q.ctid), array_agg(q.seq), array_agg(q.sender_id), array_agg(q.receiver_id), array_agg(q.amount)
  into v_rows, v_seqs, v_senders, v_receivers, v_amounts
  from (
    select d.ctid, d.seq, d.sender_id, d.receiver_id, d.amount from public.gift_pending d
    order by d.seq limit p_limit for update skip locked
  ) q;
  claimed := coalesce(cardinality(v_seqs), 0);
  if claimed = 0 then
    return;
  end if;

  -- Lock every wallet concerned, in order. The balances are those after the lock was got.
  select array_agg(p.sender), array_agg(p.due) into v_payers, v_due
  from (select s.sender, sum(s.amount)::bigint as due from unnest(v_senders, v_amounts) as s (sender, amount) group by 1) p;
  v_people := array(select unnest(v_payers) union select unnest(v_receivers));
  select coalesce(array_agg(w.user_id), '{}'), coalesce(array_agg(w.balance), '{}') into v_wallets, v_balances
  from (
    select l.user_id, l.balance from public.wallets l
    where l.user_id = any (v_people)
    order by l.user_id for no key update
  ) w;

  -- Only senders whose gifts add up to more than they have need a look gift by gift.
  v_overdrawn := array(
    select p.sender from unnest(v_payers, v_due) as p (sender, due)
    join unnest(v_wallets, v_balances) as w (user_id, balance) on w.user_id = p.sender
    where p.due > w.balance);
  if cardinality(v_overdrawn) > 0 then
    for v_gift in
      select g.seq, g.sender, g.amount, w.balance
      from unnest(v_seqs, v_senders, v_amounts) as g (seq, sender, amount)
      join unnest(v_wallets, v_balances) as w (user_id, balance) on w.user_id = g.sender
      where g.sender = any (v_overdrawn)
      order by g.sender, g.seq
    loop
      if v_gift.sender is distinct from v_sender then
        v_sender := v_gift.sender;
        v_left := v_gift.balance;
      end if;
      if v_gift.amount <= v_left then
        v_left := v_left - v_gift.amount;
      else
        v_refused := v_refused || v_gift.seq;
      end if;
    end loop;
  end if;

  -- Intake makes sure of both wallets. If one is gone all the same, its gift fails by name instead of vanishing in a join.
  if cardinality(v_wallets) < cardinality(v_people) then
    v_unknown := array(
      select g.seq from unnest(v_seqs, v_senders, v_receivers) as g (seq, sender, receiver)
      where g.sender <> all (v_wallets) or g.receiver <> all (v_wallets));
  end if;

  -- Decide and move, in one statement. Each thing is aggregated once: by sender, stream, day and run. `not in` and
  -- boolean columns where `not exists` and `is null` would read as well: the planner takes those for a handful of rows
  -- and joins them row against row (3.4 s instead of 0.3 for 10,000 senders, measured).
  with gift as (
    delete from public.gift_pending q where q.ctid = any (v_rows)
    returning q.seq, q.sender_id, q.receiver_id, q.stream_id, q.amount, q.enqueued_at, q.run_id
  ), ruled as materialized (
    select g.seq, g.sender_id, g.receiver_id, g.stream_id, g.amount, (g.enqueued_at at time zone 'UTC')::date as day, g.run_id,
      r.seq is null and u.seq is null as paid,
      case when u.seq is not null then 'no_wallet' when r.seq is not null then 'insufficient_funds' end as reason,
      g.amount * v_fee_bps / 10000 as fee
    from gift g left join unnest(v_refused) as r (seq) on r.seq = g.seq left join unnest(v_unknown) as u (seq) on u.seq = g.seq
  ), given as materialized (
    select r.sender_id, r.stream_id, r.day, r.run_id, r.run_id is null as counts, sum(r.amount)::bigint as total,
      count(*) as gifts
    from ruled r where r.paid group by 1, 2, 3, 4
  ), decided as (
    insert into public.gift_settlements (seq, status, reason, fee, batch_id, settled_at, run_id)
    select r.seq, case when r.paid then 'settled' else 'failed' end, r.reason, case when r.paid then r.fee else 0 end, p_batch_id, v_now, r.run_id
    from ruled r
  ), moved as (
    update public.wallets w
    set balance = w.balance + m.delta, version = w.version + 1,
      gifted_total = w.gifted_total + m.given, gifted_count = w.gifted_count + m.gifts
    from (
      select c.user_id, sum(c.delta)::bigint as delta, sum(c.given)::bigint as given, sum(c.gifts)::bigint as gifts
      from (
        select g.sender_id as user_id, -g.total as delta, g.total as given, g.gifts from given g
        union all
        select r.receiver_id, sum(r.amount - r.fee)::bigint, 0, 0 from ruled r where r.paid group by 1
      ) c
      group by c.user_id
    ) m
    where w.user_id = m.user_id
    returning w.user_id, w.gifted_total as total, w.gifted_count as gifts, w.run_id, m.gifts > 0 as gave
  ), day_score as materialized (
    select g.day, g.sender_id, sum(g.total)::bigint as total, sum(g.gifts)::bigint as gifts
    from given g where g.counts group by 1, 2
  ), stream_score as materialized (
    select g.stream_id, g.sender_id, sum(g.total)::bigint as total, sum(g.gifts)::bigint as gifts
    from given g where g.counts group by 1, 2
  -- update, then insert what was not there: `on conflict do update` locks each row first, which is twice the work, and
  -- nobody else writes scores while the settlement lock is held
  ), day_raised as (
    update public.leaderboard_days l set total = l.total + s.total, gifts = l.gifts + s.gifts
    from day_score s where l.day = s.day and l.user_id = s.sender_id
    returning l.day, l.user_id, l.total, l.gifts
  ), day_entered as (
    insert into public.leaderboard_days as l (day, user_id, total, gifts)
    select s.day, s.sender_id, s.total, s.gifts from day_score s
    where (s.day, s.sender_id) not in (select r.day, r.user_id from day_raised r)
    returning l.day, l.user_id, l.total, l.gifts
  ), stream_raised as (
    update public.leaderboard_streams l set total = l.total + s.total, gifts = l.gifts + s.gifts
    from stream_score s where l.stream_id = s.stream_id and l.user_id = s.sender_id
    returning l.stream_id, l.user_id, l.total, l.gifts
  ), stream_entered as (
    insert into public.leaderboard_streams as l (stream_id, user_id, total, gifts)
    select s.stream_id, s.sender_id, s.total, s.gifts from stream_score s
    where (s.stream_id, s.sender_id) not in (select r.stream_id, r.user_id from stream_raised r)
    returning l.stream_id, l.user_id, l.total, l.gifts
  ), fresh as (
    select coalesce('run:' || m.run_id, 'all') as scope, m.user_id, m.total, m.gifts from moved m where m.gave
    union all
    select 'd:' || to_char(d.day, 'YYYY-MM-DD'), d.user_id, d.total, d.gifts
    from (select * from day_raised union all select * from day_entered) d
    union all
    select 's:' || s.stream_id, s.user_id, s.total, s.gifts
    from (select * from stream_raised union all select * from stream_entered) s
  ), listed as (
    select array_agg(f.scope) as scopes, array_agg(f.user_id) as users, array_agg(f.total) as totals,
      array_agg(f.gifts) as gifts
    from fresh f left join public.leaderboard_top t using (scope) where f.total >= coalesce(t.last_total, 0)
  )
  select t.settled, t.coins, listed.scopes, listed.users, listed.totals, listed.gifts
  into settled, coins, v_scopes, v_scored, v_totals, v_counts
  from (select coalesce(sum(g.gifts), 0) as settled, coalesce(sum(g.total), 0) as coins from given g) t, listed;
  failed := claimed - settled;
  if v_scopes is not null then
    perform trollfix.merge_top(v_scopes, v_scored, v_totals, v_counts);
  end if;
end
$$;
revoke all on function trollfix.settle_round(int, bigint) from public;

-- Closes a run's log row. Rates: drain = gifts claimed per second of work; ingest = what came in since the end of the
-- run before (change of the backlog plus what this run took out).
create function trollfix.finish_log(
  p_id bigint, p_rounds int, p_claimed bigint, p_settled bigint, p_failed bigint, p_coins bigint, p_work_ms double precision,
  p_stop_reason text, p_error text
) returns bigint
language plpgsql security definer set search_path = ''
as $$
declare
  v_backlog bigint := (select count(*) from public.gift_pending);
  v_now timestamptz := clock_timestamp();
  v_before record;
begin
  select l.finished_at, l.backlog_count into v_before from public.gift_batch_logs l
  where l.id < p_id and l.finished_at is not null and l.stop_reason <> 'skipped_locked'
  order by l.id desc limit 1;
  update public.gift_batch_logs l
  set finished_at = v_now, rounds = p_rounds, claimed = p_claimed, settled = p_settled, failed = p_failed,
    coins_moved = p_coins, backlog_count = v_backlog, 
    oldest_pending_age = v_now - (select q.enqueued_at from public.gift_pending q order by q.seq limit 1),
    ingest_per_s = greatest(0, v_backlog - v_before.backlog_count + p_claimed)
      / nullif(greatest(extract(epoch from v_now - v_before.finished_at), 0.001), 0),
    drain_per_s = case when p_claimed > 0 and p_work_ms > 0 then p_claimed * 1000 / p_work_ms end,
    stop_reason = p_stop_reason, error = p_error
  where l.id = p_id;
  return v_backlog;
end
$$;
revoke all on function
  trollfix.finish_log(bigint, int, bigint, bigint, bigint, bigint, double precision, text, text) from public;

-- One batch of at most batch_size gifts, as the original had it: claim, decide, move the money, log.
create function public.process_gift_ledger_batch(batch_size int default 1000)
returns table (claimed int, settled int, failed int, backlog bigint, busy boolean)
language plpgsql security definer set search_path = ''
as $$
declare
  v_round record;
  v_log bigint;
  v_began timestamptz := clock_timestamp();
  v_backlog bigint;
begin
  if batch_size is null or batch_size not between 1 and 100000 then
    raise exception 'batch_size must be between 1 and 100000: %', batch_size using errcode = '22023';
  end if;
  insert into public.gift_batch_logs (trigger_source) values ('batch') returning id into v_log;
  select * into v_round from trollfix.settle_round(batch_size, v_log);
  v_backlog := trollfix.finish_log(v_log, case when v_round.busy then 0 else 1 end, v_round.claimed, v_round.settled,
    v_round.failed, v_round.coins, extract(epoch from clock_timestamp() - v_began) * 1000,
    case when v_round.busy then 'skipped_locked' when v_round.claimed < batch_size then 'empty' else 'batch' end, null);
  return query select v_round.claimed, v_round.settled, v_round.failed, v_backlog, v_round.busy;
end
$$;
revoke all on function public.process_gift_ledger_batch(int) from public, anon, authenticated, service_role;
grant execute on function public.process_gift_ledger_batch(int) to service_role;

-- What nobody needs any more: logs after 7 days, day boards after 35, carried-out ejections after 30, chat turns that
-- are over, and pg_cron's history, which it never cleans itself (8,640 rows a day for one 10 s job).
create function trollfix.housekeep() returns void
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.gift_batch_logs where started_at < now() - interval '7 days';
  delete from public.leaderboard_days where day < (now() at time zone 'UTC')::date - 35;
  delete from public.leaderboard_top
    where scope like 'd:%' and scope < 'd:' || to_char(now() at time zone 'UTC' - interval '35 days', 'YYYY-MM-DD');
  delete from public.seat_ejections where done_at < now() - interval '30 days';
  delete from public.chat_throttle where next_at < now() - interval '1 hour';
  if to_regclass('cron.job_run_details') is not null then
    execute 'delete from cron.job_run_details where start_time < now() - interval ''3 days''';
  end if;
end
$$;
revoke all on function trollfix.housekeep() from public;

-- Drains the queue in rounds, each its own transaction, until it is empty, the budget is spent or another session
-- settles. Its log row is committed at the start, so a run that dies leaves one without finished_at.
-- Batch size: from p_first_batch, doubled while a round takes under 0.5 s, halved above 1 s, at most 50,000 (ledger.md
-- §2). A caller that goes on from an earlier call begins where that one had got to.
-- A procedure that commits may have neither SECURITY DEFINER nor SET, so every name in it is qualified and only the
-- owner may call it.
create procedure public.drain_gift_ledger(
  p_budget_ms int default 8000, p_source text default 'cron', p_first_batch int default 1000
)
language plpgsql
as $$
declare
  v_began timestamptz := pg_catalog.clock_timestamp();
  v_log bigint;
  v_batch int := least(greatest(coalesce(p_first_batch, 1000), 1000), 50000);
  v_round record;
  v_round_began timestamptz;
  v_round_ms double precision := 0;
  v_work_ms double precision := 0;
  v_rounds int := 0;
  v_claimed bigint := 0; v_settled bigint := 0; v_failed bigint := 0; v_coins bigint := 0;
  v_stop text;
  v_error text;
begin
  insert into public.gift_batch_logs (trigger_source) values (p_source) returning id into v_log;
  commit;
  while v_stop is null loop
    v_round_began := pg_catalog.clock_timestamp();
    begin
      select * into v_round from trollfix.settle_round(v_batch, v_log);
    exception when others then
      v_error := sqlstate || ': ' || sqlerrm;
    end;
    commit;
    v_round_ms := pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - v_round_began) * 1000;
    if v_error is not null then
      v_stop := 'error';
    elsif v_round.busy then
      v_stop := 'skipped_locked';
    else
      if v_round.claimed > 0 then
        v_rounds := v_rounds + 1;
        v_work_ms := v_work_ms + v_round_ms;
        v_claimed := v_claimed + v_round.claimed;
        v_settled := v_settled + v_round.settled;
        v_failed := v_failed + v_round.failed;
        v_coins := v_coins + v_round.coins;
      end if;
      if v_round.claimed < v_batch then
        v_stop := 'empty';
      elsif pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - v_began) * 1000 + v_round_ms > p_budget_ms then
        v_stop := 'budget';
      elsif v_round_ms < 500 then
        v_batch := least(v_batch * 2, 50000);
      elsif v_round_ms > 1000 then
        v_batch := greatest(v_batch / 2, 1000);
      end if;
    end if;
  end loop;
  perform trollfix.finish_log(v_log, v_rounds, v_claimed, v_settled, v_failed, v_coins, v_work_ms, v_stop, v_error);
  commit;

  update public.gift_settings set housekept_at = pg_catalog.now()
  where housekept_at < pg_catalog.now() - interval '1 day';
  if found then
    begin
      perform trollfix.housekeep();
    exception when others then
      raise warning 'trollfix housekeeping: %', sqlerrm; -- it must never keep money from settling
    end;
    commit;
  end if;
end
$$;
revoke all on procedure public.drain_gift_ledger(int, text, int) from public, anon, authenticated, service_role;

-- For pg_cron before 1.5, which knows no seconds: six drains, 10 s apart, within the minute.
create procedure public.drain_gift_ledger_for_a_minute()
language plpgsql
as $$
declare
  v_began timestamptz := pg_catalog.clock_timestamp();
begin
  for v_turn in 0..5 loop
    perform pg_catalog.pg_sleep(greatest(0,
      v_turn * 10 - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - v_began)));
    commit;
    call public.drain_gift_ledger(8000, 'cron');
  end loop;
end
$$;
revoke all on procedure public.drain_gift_ledger_for_a_minute() from public, anon, authenticated, service_role;

-- How settlement is doing, from its own logs, so it also works when the scheduler is dead. One row.
--   stalled    no run finished for 35 s (three missed and 5 s)
--   failing    the last run that is over has an error or died, or two died within 10 minutes
--   diverging  more comes in than can be settled, and the last run stopped at its budget
--   late       the oldest pending gift waits for more than 30 s
-- seconds_to_drain: backlog / (capacity - ingest); null when it would never end or no capacity is known.
create view public.gift_health as
with run as materialized (
  select l.*,
    l.finished_at is null and not exists (
      select from pg_catalog.pg_stat_activity a
      where a.pid = l.backend_pid and coalesce(a.backend_start <= l.started_at, true) and a.state is distinct from 'idle'
        and not exists (select from public.gift_batch_logs n where n.backend_pid = l.backend_pid and n.id > l.id)
    ) as died
  from public.gift_batch_logs l
  where l.started_at > now() - interval '1 hour' and l.stop_reason is distinct from 'skipped_locked'
), fact as (
  select
    (select count(*) from public.gift_pending) as backlog,
    extract(epoch from clock_timestamp() - (select q.enqueued_at from public.gift_pending q order by q.seq limit 1))
      ::double precision as oldest_pending_s,
    (select max(l.started_at) from public.gift_batch_logs l) as last_started_at,
    (select max(l.finished_at) from public.gift_batch_logs l where l.stop_reason is distinct from 'error') as last_finished_at,
    (select count(*) from run r where r.died and r.started_at > now() - interval '10 minutes') as runs_without_end,
    (select max(r.drain_per_s) from run r where r.claimed >= 1000) as capacity_per_s
), recent as (
  select r.ingest_per_s, r.stop_reason, r.error, r.died from run r
  where r.finished_at is not null or r.died order by r.id desc limit 1
)
select
  case
    when f.last_finished_at is null or f.last_finished_at < clock_timestamp() - interval '35 seconds' then 'stalled'
    when coalesce(r.died or r.error is not null, false) or f.runs_without_end >= 2 then 'failing'
    when r.stop_reason = 'budget' and r.ingest_per_s >= f.capacity_per_s then 'diverging'
    when f.oldest_pending_s > 30 then 'late'
    else 'ok'
  end as verdict,
  f.backlog, f.oldest_pending_s, f.last_started_at, f.last_finished_at,
  extract(epoch from clock_timestamp() - f.last_finished_at)::double precision as since_last_finish_s,
  r.stop_reason as last_stop_reason, r.error as last_error, f.runs_without_end,
  r.ingest_per_s, f.capacity_per_s,
  case when f.backlog = 0 then 0
    when f.capacity_per_s > coalesce(r.ingest_per_s, 0) then f.backlog / (f.capacity_per_s - coalesce(r.ingest_per_s, 0))
  end as seconds_to_drain
from fact f left join recent r on true;
revoke all on public.gift_health from public, anon, authenticated, service_role;
grant select on public.gift_health to service_role;
