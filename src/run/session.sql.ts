/** Two integers that name the lock of a run, in PostgreSQL's advisory lock space: "trol", "run". */
export const runLockKeys = [0x74726f6c, 0x72756e] as const;

export const tryRunLockSql = 'select pg_try_advisory_lock($1, $2) as locked';

/** Who holds the lock: the run names itself by its application_name. */
export const runLockHolderSql = `
  select a.application_name, a.backend_start, a.pid
    from pg_locks l
    join pg_stat_activity a on a.pid = l.pid
   where l.locktype = 'advisory' and l.classid = $1 and l.objid = $2 and l.granted
     and l.database = (select oid from pg_database where datname = current_database())
`;

/** Run ids of one run: its own and those of its parts, `<run>.<part>`. */
export const syntheticRunsSql = `
  select run_id from public.synthetic_runs where run_id = $1 or starts_with(run_id, $1 || '.')
`;

export const purgeRunSql = 'select public.purge_run($1) as removed';
