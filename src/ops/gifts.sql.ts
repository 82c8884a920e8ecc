export const healthSql = `
select verdict, backlog::text, oldest_pending_s, last_started_at, last_finished_at, since_last_finish_s, last_stop_reason,
  last_error, runs_without_end::text, ingest_per_s, capacity_per_s, sustained_per_s, seconds_to_drain,
  skipped_since_finish::text
from public.gift_health`;

/** The last runs, newest first. */
export const recentRunsSql = `
select id::text, trigger_source, started_at, finished_at, rounds, claimed::text, settled::text, failed::text,
  coins_moved::text, backlog_count::text, extract(epoch from oldest_pending_age)::float8 as oldest_pending_s,
  ingest_per_s, drain_per_s, stop_reason, error
from public.gift_batch_logs l order by l.id desc limit $1`;

/**
 * Not in a transaction: the procedure commits each round. It gives the log row of this very run, which no other statement
 * could find for certain: through a transaction pooler the next one may be another backend's. $1 budget in ms, $2 who calls
 */
export const drainSql = 'call public.drain_gift_ledger($1, $2)';

/**
 * Who settles now: whoever holds the settlement lock (29798, 1), or is between two rounds of a run. Since when that run
 * is going on, or the transaction where the holder is no run.
 */
export const settlingNowSql = `
with holder as (
  select l.pid from pg_locks l
  where l.locktype = 'advisory' and l.classid = 29798 and l.objid = 1 and l.granted
    and l.database = (select oid from pg_database where datname = current_database())
), run as (
  select r.backend_pid as pid, r.trigger_source as source, r.started_at
  from public.gift_batch_logs r join pg_stat_activity a on a.pid = r.backend_pid
  where r.finished_at is null and r.started_at > now() - interval '1 hour' and a.backend_start <= r.started_at
    and a.state is distinct from 'idle'
    -- a backend whose run was cancelled may be at something else by now
    and a.query ilike '%gift_ledger%'
), who as (
  select h.pid, r.source, r.started_at from holder h left join run r using (pid)
  union all select r.pid, r.source, r.started_at from run r where not exists (select from holder)
)
select w.pid, coalesce(a.application_name, '') as application, w.source, coalesce(w.started_at, a.xact_start) as since,
  extract(epoch from clock_timestamp() - coalesce(w.started_at, a.xact_start))::float8 as for_s
from who w left join pg_stat_activity a on a.pid = w.pid
order by w.started_at desc nulls last limit 1`;
