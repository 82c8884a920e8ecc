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

/** A snapshot held for long keeps settled queue rows from being cleaned up (ledger.md §2: 60 µs per 1000 and round). */
export const heldSnapshotSql = `
select pid, coalesce(application_name, '') as application, extract(epoch from clock_timestamp() - xact_start)::float8 as held_s
from pg_stat_activity
where backend_xmin is not null and datname = current_database() and pid <> pg_backend_pid()
  and xact_start < clock_timestamp() - interval '60 seconds'
order by xact_start limit 1`;

/** The scheduler's own process, its limit and how much history it keeps; only where pg_cron is installed. */
export const cronFactsSql = `
select
  exists (select from pg_stat_activity where application_name = 'pg_cron scheduler' or backend_type = 'pg_cron launcher') as launcher,
  current_setting('cron.max_running_jobs', true)::int as max_running_jobs,
  (select count(*)::int from cron.job where active) as jobs,
  (select reltuples::bigint::text from pg_class where oid = 'cron.job_run_details'::regclass) as history_rows`;

/** The last runs of the settlement job, newest first. */
export const cronRunsSql = `
select d.status, d.return_message, d.start_time, extract(epoch from d.start_time - lag(d.start_time) over (order by d.runid))::float8 as gap_s
from cron.job_run_details d join cron.job j using (jobid)
where j.jobname = $1 and j.username = current_user
order by d.runid desc limit 10`;

export const settlementHealthSql =
  'select verdict, backlog::text, since_last_finish_s, last_error from public.gift_health';
