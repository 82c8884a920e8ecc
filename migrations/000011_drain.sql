-- Runs of settlement: batches that begin where the runs before left off, a log row that follows the run and is what the
-- caller gets, and a health view that cannot be talked into `ok` by runs that did nothing.

-- A run's log row as it goes: a run of many rounds can be followed, and one that died says how far it got. round_ms and
-- round_claimed are the last full round's, from which the next run takes the size of its first.
alter table public.gift_batch_logs
  add column last_round_at timestamptz,
  add column round_ms double precision,
  add column round_claimed bigint;

-- Books a round that has just been done, in its transaction.
create function trollfix.log_round(p_id bigint, p_claimed bigint, p_settled bigint, p_failed bigint, p_coins bigint, p_ms double precision)
returns void
language sql security definer set search_path = ''
as $$
  update public.gift_batch_logs l
  set rounds = l.rounds + 1, claimed = l.claimed + p_claimed, settled = l.settled + p_settled, failed = l.failed + p_failed,
    coins_moved = l.coins_moved + p_coins, last_round_at = clock_timestamp(),
    -- the largest round tells most about the next
    round_ms = case when p_claimed >= coalesce(l.round_claimed, 0) then p_ms else l.round_ms end,
    round_claimed = greatest(l.round_claimed, p_claimed)
  where l.id = p_id
$$;
revoke all on function trollfix.log_round(bigint, bigint, bigint, bigint, bigint, double precision) from public;

-- The size of a run's first round: what the last run's largest round says takes half a second, from 1,000 to 50,000.
-- Rounds under 1,000 gifts are all fixed cost and tell nothing of the rate.
create function trollfix.first_batch() returns int
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select least(50000, greatest(1000, 500 * l.round_claimed / nullif(l.round_ms, 0)))::int from public.gift_batch_logs l
    where l.round_claimed >= 1000 and l.started_at > now() - interval '1 hour' order by l.id desc limit 1
  ), 1000)
$$;
revoke all on function trollfix.first_batch() from public;

-- Closes a run's log row. Rates: drain = gifts claimed per second of work; ingest = what came in since the end of the
-- run before (change of the backlog plus what this run took out).
create or replace function trollfix.finish_log(
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
    oldest_pending_age = case when v_backlog > 0 then
      v_now - (select q.enqueued_at from public.gift_pending q order by q.seq limit 1) end,
    ingest_per_s = greatest(0, v_backlog - v_before.backlog_count + p_claimed)
      / nullif(greatest(extract(epoch from v_now - v_before.finished_at), 0.001), 0),
    drain_per_s = case when p_claimed > 0 and p_work_ms > 0 then p_claimed * 1000 / p_work_ms end,
    stop_reason = p_stop_reason, error = p_error
  where l.id = p_id;
  return v_backlog;
end
$$;

-- Drains the queue in rounds, each its own transaction, until it is empty, the budget is spent or another session
-- settles. Its log row is committed at the start, so a run that dies leaves one without finished_at; each round books
-- itself in it. Batch size: from p_first_batch, or when that is null from trollfix.first_batch; doubled while a round
-- takes under 0.5 s, halved above 1 s, at most 50,000 (ledger.md §2).
-- p_run tells what the run did: its log row as json. That is the caller's own run, also through a pooler, where the
-- next statement may land on another backend.
-- A procedure that commits may have neither SECURITY DEFINER nor SET, so every name in it is qualified and only the
-- owner may call it.
drop procedure public.drain_gift_ledger(int, text, int);
create procedure public.drain_gift_ledger(
  p_budget_ms int default 8000, p_source text default 'cron', p_first_batch int default null, inout p_run jsonb default null
)
language plpgsql
as $$
declare
  v_began timestamptz := pg_catalog.clock_timestamp();
  v_log bigint;
  v_batch int := least(greatest(coalesce(p_first_batch, trollfix.first_batch()), 1000), 50000);
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
      v_round_ms := pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - v_round_began) * 1000;
      if v_round.claimed > 0 then
        perform trollfix.log_round(v_log, v_round.claimed, v_round.settled, v_round.failed, v_round.coins, v_round_ms);
      end if;
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
  select pg_catalog.to_jsonb(l) into p_run from public.gift_batch_logs l where l.id = v_log;
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
revoke all on procedure public.drain_gift_ledger(int, text, int, jsonb) from public, anon, authenticated, service_role;

-- As before, with a place for what the drain tells.
create or replace procedure public.drain_gift_ledger_for_a_minute()
language plpgsql
as $$
declare
  v_began timestamptz := pg_catalog.clock_timestamp();
  v_run jsonb;
begin
  for v_turn in 0..5 loop
    perform pg_catalog.pg_sleep(greatest(0,
      v_turn * 10 - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - v_began)));
    commit;
    call public.drain_gift_ledger(8000, 'cron', null, v_run);
  end loop;
end
$$;

-- How settlement is doing, from its own logs, so it also works when the scheduler is dead. One row.
--   failing    the last run that is over, within 35 s, has an error or died; or two died within 10 minutes
--   stalled    nothing was finished for 35 s (three missed and 5 s), and no round of a long run either. A run that found
--              the lock taken (skipped_locked) finished nothing: a session that holds the lock for long is a stall
--   diverging  the last run stopped with gifts left (budget or batch), and more came in meanwhile than it took out
--   late       the oldest pending gift waits for more than 30 s
-- capacity_per_s: gifts per second of work, of the three largest rounds of 1,000 gifts or more within the hour, one of
-- each run. Large rounds cost less per gift, and a forecast matters when there is much to do.
-- sustained_per_s: what the schedule makes of it. A run that stopped with gifts left took out what it took out per turn,
-- however fast it worked; for one that emptied the queue it is the capacity.
-- seconds_to_drain: backlog / (sustained - ingest); null when it would never end or no rate is known.
create or replace view public.gift_health as
with run as materialized (
  select l.*,
    l.finished_at is null and not exists (
      select from pg_catalog.pg_stat_activity a
      where a.pid = l.backend_pid and coalesce(a.backend_start <= l.started_at, true) and a.state is distinct from 'idle'
        and not exists (select from public.gift_batch_logs n where n.backend_pid = l.backend_pid and n.id > l.id)
    ) as died
  from public.gift_batch_logs l
  where l.started_at > now() - interval '1 hour' and l.stop_reason is distinct from 'skipped_locked'
), turn as (
  select r.*, lag(r.finished_at) over (order by r.id) as before_at from run r where r.finished_at is not null or r.died
), fact as (
  select
    (select count(*) from public.gift_pending) as backlog,
    extract(epoch from clock_timestamp() - (select q.enqueued_at from public.gift_pending q order by q.seq limit 1))
      ::double precision as oldest_pending_s,
    (select max(l.started_at) from public.gift_batch_logs l) as last_started_at,
    (select max(l.finished_at) from public.gift_batch_logs l where l.stop_reason not in ('error', 'skipped_locked'))
      as last_finished_at,
    (select max(r.last_round_at) from run r) as last_round_at,
    (select count(*) from run r where r.died and r.started_at > now() - interval '10 minutes') as runs_without_end,
    (select sum(b.gifts) / nullif(sum(b.gifts / b.per_s), 0) from (
      select c.* from (
        select r.id, coalesce(r.round_claimed, r.claimed) as gifts,
          coalesce(r.round_claimed * 1000 / nullif(r.round_ms, 0), r.drain_per_s) as per_s from run r
      ) c where c.gifts >= 1000 and c.per_s > 0 order by c.gifts desc, c.id desc limit 3) b
    ) as capacity_per_s
), recent as (
  select t.started_at, t.ingest_per_s, t.stop_reason, t.error, t.died,
    t.stop_reason in ('budget', 'batch') and t.backlog_count is distinct from 0 as limited,
    t.claimed / nullif(extract(epoch from t.finished_at - t.before_at), 0)::double precision as taken_per_s
  from turn t order by t.id desc limit 1
), pace as (
  select f.*, r.ingest_per_s, r.stop_reason, r.error, coalesce(r.limited, false) as limited,
    coalesce((r.died or r.error is not null) and r.started_at > clock_timestamp() - interval '35 seconds', false) as failed,
    case when r.limited and r.taken_per_s is not null then r.taken_per_s else f.capacity_per_s end as sustained_per_s
  from fact f left join recent r on true
)
select
  case
    when p.failed then 'failing'
    when coalesce(greatest(p.last_finished_at, p.last_round_at) < clock_timestamp() - interval '35 seconds', true) then 'stalled'
    when p.runs_without_end >= 2 then 'failing'
    when p.limited and p.ingest_per_s >= p.sustained_per_s then 'diverging'
    when p.oldest_pending_s > 30 then 'late'
    else 'ok'
  end as verdict,
  p.backlog, p.oldest_pending_s, p.last_started_at, p.last_finished_at,
  extract(epoch from clock_timestamp() - p.last_finished_at)::double precision as since_last_finish_s,
  p.stop_reason as last_stop_reason, p.error as last_error, p.runs_without_end,
  p.ingest_per_s, p.capacity_per_s,
  case when p.backlog = 0 then 0
    when p.sustained_per_s > coalesce(p.ingest_per_s, 0) then p.backlog / (p.sustained_per_s - coalesce(p.ingest_per_s, 0))
  end as seconds_to_drain,
  p.sustained_per_s, p.last_round_at,
  (select count(*) from public.gift_batch_logs l where l.stop_reason = 'skipped_locked'
    and l.started_at > coalesce(p.last_finished_at, '-infinity')) as skipped_since_finish
from pace p;
