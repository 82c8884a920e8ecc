export const serverFactsSql = `
select current_setting('server_version') as version, current_setting('server_version_num')::int as version_num,
  current_setting('wal_level') as wal_level, current_user as role, clock_timestamp() as now`;

/** Tables of public that anybody with a key may reach without a policy in between. */
export const tablesWithoutRlsSql = `
select c.relname as name,
  has_table_privilege('anon', c.oid, 'select, insert, update, delete')
    or has_table_privilege('authenticated', c.oid, 'select, insert, update, delete') as reachable
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
order by 1`;

export const unpublishedSql = `
select t.name from unnest(array['chat_messages', 'stream_seats', 'stream_bans', 'streams', 'leaderboard_top']) as t (name)
where not exists (select from pg_publication_tables p
  where p.pubname = 'supabase_realtime' and p.schemaname = 'public' and p.tablename = t.name)`;

/**
 * What keeps settled queue rows from being cleaned up (ledger.md §2: 60 µs per 1000 and round), longest first: snapshots
 * and writing transactions of sessions, prepared transactions, and replication slots that hold row versions back. A slot
 * has no time of its own: one that nobody reads holds for ever, one that is read is told by how many transactions.
 * $1 seconds, $2 transactions that are long
 */
export const heldSnapshotSql = `
select 'session' as kind, a.pid::text as name,
  concat_ws(', ', nullif(a.application_name, ''), a.usename, a.state) as who,
  extract(epoch from clock_timestamp() - a.xact_start)::float8 as held_s, null::int as transactions
from pg_stat_activity a
where (a.backend_xmin is not null or a.backend_xid is not null) and a.datname = current_database()
  and a.pid <> pg_backend_pid() and a.backend_type <> 'autovacuum worker'
  and a.xact_start < clock_timestamp() - make_interval(secs => $1)
union all
select 'prepared', p.gid, p.owner, extract(epoch from clock_timestamp() - p.prepared)::float8, null
from pg_prepared_xacts p
where p.database = current_database() and p.prepared < clock_timestamp() - make_interval(secs => $1)
union all
select 'slot', s.slot_name, case when s.active then 'in use' else 'nobody reads it' end, null, age(s.xmin)
from pg_replication_slots s
where s.xmin is not null and (not s.active or age(s.xmin) > $2)
order by held_s desc nulls first`;

/** The scheduler's process, its limits, what runs now and how much history there is; only where pg_cron is installed. */
export const cronFactsSql = `
select
  exists (select from pg_stat_activity where application_name = 'pg_cron scheduler' or backend_type = 'pg_cron launcher') as launcher,
  (select setting from pg_settings where name = 'shared_preload_libraries') as preload,
  (select setting::int from pg_settings where name = 'cron.max_running_jobs') as max_running_jobs,
  (select setting::int from pg_settings where name = 'max_worker_processes') as max_worker_processes,
  coalesce((select setting = 'on' from pg_settings where name = 'cron.use_background_workers'), false) as background_workers,
  (select count(*)::int from cron.job where active) as jobs,
  -- a background worker of pg_cron, or a connection that it dialled
  (select count(*)::int from pg_stat_activity a where a.backend_type = 'pg_cron' or a.application_name = 'pg_cron')
    as running,
  (select extversion from pg_extension where extname = 'pg_cron') as version,
  extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as server_up_s,
  (select reltuples::float8 from pg_class where oid = 'cron.job_run_details'::regclass) as history_rows,
  (select extract(epoch from now() - d.start_time)::float8 / 86400 from cron.job_run_details d order by d.runid limit 1)
    as oldest_history_days`;

/** The last runs of the settlement job, newest first. $1 job name */
export const cronRunsSql = `
select d.status, d.return_message, extract(epoch from clock_timestamp() - d.start_time)::float8 as started_s_ago,
  extract(epoch from d.start_time - lag(d.start_time)
    over (partition by d.start_time > pg_postmaster_start_time() order by d.runid))::float8 as gap_s
from cron.job_run_details d join cron.job j using (jobid)
where j.jobname = $1 and j.username = current_user and d.start_time is not null
order by d.runid desc limit 10`;

export const settlementHealthSql =
  'select verdict, backlog::text, oldest_pending_s, since_last_finish_s, last_error from public.gift_health';
