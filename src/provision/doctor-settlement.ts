import { cronFactsSql, cronRunsSql, settlementHealthSql } from './doctor.sql.ts';
import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';
import { query } from './doctor-database.ts';
import { expectedSchedule, scheduleTroubles } from './schedule.ts';

/** One run a minute at worst and 10 s at best: two missed ones are no accident. */
const lateStartS = { seconds: 25, minute: 130 };
/** 8,640 rows a day for a 10 s job; housekeeping keeps three days. */
const historyRowsLimit = 200_000;

export const settlementChecks: readonly CheckDefinition[] = [
  { id: 'settlement.schedule', title: 'somebody settles gifts', needs: 'schema.current', run: schedule },
  { id: 'settlement.cron', title: 'pg_cron is alive and on time', needs: 'settlement.schedule', run: cron },
  { id: 'settlement.health', title: 'gifts are settled in time', needs: 'schema.current', run: health },
];

async function schedule(context: DoctorContext): Promise<Finding> {
  if (context.database === undefined) throw new Error('no database to ask');
  const expected = await expectedSchedule(context.database);
  if (expected.kind === 'settler') {
    return { status: 'ok', detail: 'no pg_cron here: it is the work of `trollfix settle --watch`' };
  }
  const troubles = await scheduleTroubles(context.database);
  const first = troubles[0];
  if (first !== undefined) {
    return { status: 'fail', detail: `${first.identity}: ${first.detail}`, fix: 'trollfix provision' };
  }
  return { status: 'ok', detail: `pg_cron ${expected.version}: ${expected.job} at "${expected.schedule}"` };
}

interface CronFacts {
  launcher: boolean;
  max_running_jobs: number | null;
  jobs: number;
  history_rows: string;
}

interface CronRun {
  status: string;
  return_message: string | null;
  gap_s: number | null;
}

async function cron(context: DoctorContext): Promise<Finding> {
  if (context.database === undefined) throw new Error('no database to ask');
  const expected = await expectedSchedule(context.database);
  if (expected.kind === 'settler') return { status: 'skip', detail: 'no pg_cron on this server' };
  const [facts] = (await query<CronFacts>(context, cronFactsSql)).rows;
  const { rows: runs } = await query<CronRun>(context, cronRunsSql, [expected.job]);
  return judgeCron(facts, runs, expected.schedule === '10 seconds' ? lateStartS.seconds : lateStartS.minute);
}

/** Pure: pg_cron's silent failures (ledger.md §5): dead launcher, failing job, starvation, history without end. */
export function judgeCron(facts: CronFacts | undefined, runs: readonly CronRun[], lateS: number): Finding {
  if (facts !== undefined && !facts.launcher) {
    return {
      status: 'fail',
      detail: 'the scheduler process is not running: no job runs, and nothing says so',
      fix: 'restart the server (hosted: Settings → General → Restart project)',
    };
  }
  const failed = runs[0]?.status === 'failed' ? runs[0] : undefined;
  if (failed) {
    return {
      status: 'fail',
      detail: `the last run failed: ${failed.return_message ?? 'no message'}`,
      fix: 'trollfix gift drain',
    };
  }
  const widestS = Math.max(0, ...runs.map(({ gap_s }) => gap_s ?? 0));
  if (widestS > lateS) {
    return {
      status: 'warn',
      detail:
        `${widestS.toFixed(0)} s between two of the last starts; ${facts?.jobs ?? '?'} jobs share ` +
        `cron.max_running_jobs = ${facts?.max_running_jobs ?? '?'}`,
      fix: "psql -c 'alter system set cron.max_running_jobs = 32' and restart the server",
    };
  }
  const history = Number(facts?.history_rows ?? 0);
  if (history > historyRowsLimit) {
    return {
      status: 'warn',
      detail: `cron.job_run_details has about ${history} rows: pg_cron never cleans it`,
      fix: `psql -c "delete from cron.job_run_details where start_time < now() - interval '3 days'"`,
    };
  }
  return { status: 'ok', detail: `${runs.length} recent runs, at most ${widestS.toFixed(0)} s apart` };
}

interface HealthRow {
  verdict: string;
  backlog: string;
  since_last_finish_s: number | null;
  last_error: string | null;
}

async function health(context: DoctorContext): Promise<Finding> {
  const [row] = (await query<HealthRow>(context, settlementHealthSql)).rows;
  if (row === undefined) throw new Error('gift_health gave no row'); // it is an aggregate: it always does
  const since =
    row.since_last_finish_s === null ? 'no run yet' : `last run ${row.since_last_finish_s.toFixed(0)} s ago`;
  const detail = `${row.verdict}: ${row.backlog} pending, ${since}${row.last_error ? `, ${row.last_error}` : ''}`;
  if (row.verdict === 'ok') return { status: 'ok', detail };
  return {
    status: row.verdict === 'late' ? 'warn' : 'fail',
    detail,
    fix: row.verdict === 'stalled' ? 'trollfix settle --watch' : 'trollfix gift backlog',
  };
}
