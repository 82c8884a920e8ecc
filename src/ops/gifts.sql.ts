export const healthSql = `
select verdict, backlog::text, oldest_pending_s, last_started_at, last_finished_at, since_last_finish_s, last_stop_reason,
  last_error, runs_without_end::text, ingest_per_s, capacity_per_s, seconds_to_drain
from public.gift_health`;

/** The last runs, newest first; those that found nothing to do and those that another held up tell nothing. */
export const recentRunsSql = `
select id::text, trigger_source, started_at, finished_at, rounds, claimed::text, settled::text, failed::text,
  coins_moved::text, backlog_count::text, extract(epoch from oldest_pending_age)::float8 as oldest_pending_s,
  ingest_per_s, drain_per_s, stop_reason, error
from public.gift_batch_logs l order by l.id desc limit $1`;

/** Not in a transaction: the procedure commits each round. */
export const drainSql = 'call public.drain_gift_ledger($1, $2, $3)';

/** The log row of the CALL that this connection made last. */
export const lastRunHereSql = `
select rounds, claimed::text, settled::text, failed::text, coins_moved::text, backlog_count::text, stop_reason, error
from public.gift_batch_logs where backend_pid = pg_backend_pid() order by id desc limit 1`;

/** Who holds the settlement lock (29798, 1), if anybody does now. */
export const lockHolderSql = `
select l.pid, a.application_name, a.xact_start
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.classid = 29798 and l.objid = 1 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())
limit 1`;
