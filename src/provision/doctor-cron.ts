import { cronFactsSql, cronRunsSql } from './doctor.sql.ts';
import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';
import { query } from './doctor-database.ts';
import { type ExpectedSchedule, expectedSchedule } from './schedule.ts';

/**
 * What can go wrong with pg_cron while nothing says so (ledger.md §5). One check a fault, and none that waits for another:
 * the first that is found would hide the rest.
 */
export const cronChecks: readonly CheckDefinition[] = [
  {
    id: 'settlement.cron',
    title: 'pg_cron lives and starts the job on time',
    needs: 'schema.current',
    run: onPgCron((context, expected) => readStarts(context, expected)),
  },
  {
    id: 'settlement.runs',
    title: "the job's runs succeed",
    needs: 'schema.current',
    run: onPgCron(async (context, expected) => judgeRuns(await cronRuns(context, expected))),
  },
  {
    id: 'settlement.capacity',
    title: 'pg_cron has room for its jobs',
    needs: 'schema.current',
    run: onPgCron(async (context) => judgeCapacity(await cronFacts(context))),
  },
  {
    id: 'settlement.history',
    title: "pg_cron's history is cleaned",
    needs: 'schema.current',
    run: onPgCron(async (context) => judgeHistory(await cronFacts(context))),
  },
];

export interface CronFacts {
  /** The scheduler's process is there. */
  readonly launcher: boolean;
  /** null: this role may not see it, or pg_cron is not loaded. */
  readonly preload: string | null;
  readonly max_running_jobs: number | null;
  readonly max_worker_processes: number;
  readonly background_workers: boolean;
  /** `1.4-1`: of the extension. */
  readonly version: string;
  /** That are switched on, of all roles that this one may see. */
  readonly jobs: number;
  /** Of these, going on now. */
  readonly running: number;
  readonly server_up_s: number;
  /** Estimated, as of the last analyze. */
  readonly history_rows: number;
  readonly oldest_history_days: number | null;
}

/** A run of the settlement job. */
export interface CronRun {
  readonly status: string;
  readonly return_message: string | null;
  readonly started_s_ago: number;
  /** Since the start before, when the server was up all the time. */
  readonly gap_s: number | null;
}

/** Two missed runs and some seconds are no accident: of a job of 10 s, of one that comes every minute. */
const lateStartS = { seconds: 25, minute: 130 };
/** 8,640 rows a day for a 10 s job, and housekeeping keeps three days. */
const historyRowsLimit = 200_000;
/** Housekeeping runs once a day and keeps three: anything older means that it does not run. */
const historyDaysLimit = 5;

function onPgCron(
  look: (context: DoctorContext, expected: ExpectedSchedule) => Promise<Finding>,
): CheckDefinition['run'] {
  return async (context) => {
    if (context.database === undefined) throw new Error('no database to ask');
    const expected = await expectedSchedule(context.database);
    if (expected.kind === 'settler') return { status: 'skip', detail: 'no pg_cron on this server' };
    return look(context, expected);
  };
}

async function cronFacts(context: DoctorContext): Promise<CronFacts> {
  const [facts] = (await query<CronFacts>(context, cronFactsSql)).rows;
  if (facts === undefined) throw new Error('pg_cron gave no facts'); // a select without from has one row
  return facts;
}

async function cronRuns(context: DoctorContext, expected: ExpectedSchedule): Promise<CronRun[]> {
  return (await query<CronRun>(context, cronRunsSql, [expected.job])).rows;
}

async function readStarts(context: DoctorContext, expected: ExpectedSchedule): Promise<Finding> {
  const lateS = expected.schedule === '10 seconds' ? lateStartS.seconds : lateStartS.minute;
  return judgeStarts(await cronFacts(context), await cronRuns(context, expected), lateS);
}

/** Pure: a launcher that is dead, or does nothing; a job that is kept waiting. @param runs newest first */
export function judgeStarts(facts: CronFacts, runs: readonly CronRun[], lateS: number): Finding {
  if (!facts.launcher) {
    const notLoaded = facts.preload !== null && !facts.preload.includes('pg_cron');
    return {
      status: 'fail',
      detail: `the scheduler process is not running${notLoaded ? ' (shared_preload_libraries lacks pg_cron)' : ''}: no job runs, and nothing says so`,
      fix: notLoaded
        ? 'psql -c "alter system set shared_preload_libraries = \'pg_cron\'" and restart the server'
        : restartFix,
    };
  }
  const last = runs[0];
  if (last === undefined) {
    // pg_cron does not say since when there is a job; gifts that wait in vain fail settlement.health
    return {
      status: 'warn',
      detail: `the job has not started yet; a new one starts within a minute${crowd(facts)}`,
      fix: 'trollfix doctor',
    };
  }
  if (Math.min(last.started_s_ago, facts.server_up_s) > lateS) {
    return {
      status: 'fail',
      detail: `the job started ${last.started_s_ago.toFixed(0)} s ago, though the scheduler process is there${crowd(facts)}`,
      fix: restartFix,
    };
  }
  const widestS = Math.max(0, ...runs.map(({ gap_s }) => gap_s ?? 0));
  if (widestS > lateS) {
    return {
      status: 'warn',
      detail: `${widestS.toFixed(0)} s between two of the last ${runs.length} starts${crowd(facts)}`,
      fix: roomFix,
    };
  }
  const apart = runs.length > 1 ? `, at most ${widestS.toFixed(0)} s apart` : '';
  return {
    status: 'ok',
    detail: `started ${last.started_s_ago.toFixed(0)} s ago; ${runs.length} recent runs${apart}`,
  };
}

const restartFix = 'restart the server (hosted: Settings → General → Restart project)';
const roomFix = "psql -c 'alter system set cron.max_running_jobs = 32' and restart the server";

function crowd({ jobs, running, max_running_jobs: limit }: CronFacts): string {
  return limit === null ? '' : `; ${jobs} jobs share room for ${limit}, ${running} run now`;
}

/** What pg_cron writes into the runs that a restart of the server cut off: no fault of theirs. */
const cutOff = 'server restarted';

/** Pure: nothing retries a failed run, and nothing tells of it. @param runs newest first */
export function judgeRuns(runs: readonly CronRun[]): Finding {
  const over = runs.filter(
    ({ status, return_message: message }) =>
      status === 'succeeded' || (status === 'failed' && message !== cutOff),
  );
  const failed = over.filter(({ status }) => status === 'failed');
  const [first] = failed;
  if (first === undefined)
    return { status: 'ok', detail: `${over.length} of the last ${runs.length} runs are over, none failed` };
  const message = first.return_message ?? 'no message';
  if (over[0] === first) {
    return { status: 'fail', detail: `the last run failed: ${message}`, fix: 'trollfix gift drain' };
  }
  return {
    status: 'warn',
    detail: `${failed.length} of the last ${over.length} runs failed, later ones did not: ${message}`,
    fix: 'trollfix gift backlog',
  };
}

/** Pure: whether a job may have to wait for others. */
export function judgeCapacity(facts: CronFacts): Finding {
  const { jobs, running } = facts;
  const room = roomOf(facts);
  if (room === null) return { status: 'skip', detail: 'cron.max_running_jobs cannot be seen by this role' };
  const { limit, why, fix } = room;
  if (running >= limit && jobs > limit) {
    return {
      status: 'fail',
      detail: `${running} jobs run now, and there is room for ${limit}${why}: others wait`,
      fix,
    };
  }
  if (jobs > limit) {
    return {
      status: 'warn',
      detail: `${jobs} jobs may come due at once, and there is room for ${limit}${why}`,
      fix,
    };
  }
  return { status: 'ok', detail: `${jobs} jobs, ${running} running, room for ${limit}` };
}

/** How many jobs can run at a time, and what sets the limit. */
function roomOf(facts: CronFacts): { limit: number; why: string; fix: string } | null {
  const { max_running_jobs: asked, max_worker_processes: workers } = facts;
  if (asked === null) return null;
  if (!facts.background_workers) return { limit: asked, why: '', fix: roomFix };
  // measured with 1.4.2: the scheduler waits for a worker's end before it looks at the next job
  if (/^1\.[0-4]\b/.test(facts.version)) {
    return {
      limit: 1,
      why: ` (pg_cron ${facts.version} waits for each background worker to end)`,
      fix: "psql -c 'alter system set cron.use_background_workers = off' and restart the server",
    };
  }
  if (workers >= asked) return { limit: asked, why: '', fix: roomFix };
  // each job takes one of the server's workers, of which replication and parallel queries want theirs
  return {
    limit: workers,
    why: ' (max_worker_processes)',
    fix: "psql -c 'alter system set max_worker_processes = 40' and restart the server",
  };
}

/** Pure: pg_cron never cleans its history; settlement's housekeeping does, once a day. */
export function judgeHistory({ history_rows: rows, oldest_history_days: days }: CronFacts): Finding {
  const age = days === null ? '' : `, the oldest ${days.toFixed(0)} days old`;
  if (rows <= historyRowsLimit && (days ?? 0) <= historyDaysLimit) {
    return { status: 'ok', detail: `about ${Math.max(0, rows)} rows${age}` };
  }
  return {
    status: 'warn',
    detail: `cron.job_run_details has about ${Math.max(0, rows)} rows${age}: pg_cron never cleans it, and nobody else does`,
    fix: `psql -c "select cron.schedule('clean-history', '0 3 * * *', 'delete from cron.job_run_details where start_time < now() - interval ''3 days''')"`,
  };
}
