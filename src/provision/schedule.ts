import type pg from 'pg';
import { cronInstalledSql, cronJobsSql, expectedScheduleSql } from './inventory.sql.ts';

/** What `trollfix.settlement_schedule()` wants on this database. */
export interface ExpectedSchedule {
  readonly kind: 'pg_cron' | 'settler';
  readonly version?: string;
  readonly job?: string;
  readonly schedule?: string;
  readonly command?: string;
}

export interface CronJob {
  readonly jobid: string;
  readonly jobname: string | null;
  readonly schedule: string;
  readonly command: string;
  readonly active: boolean;
  readonly username: string;
  readonly database: string;
  readonly me: string;
  readonly here: string;
}

export interface ScheduleTrouble {
  readonly identity: string;
  readonly detail: string;
  /** A command that mends it, where provisioning again does not. */
  readonly fix?: string;
}

/** What is particular about a schedule, for whoever provisions: '' for that of every 10 s. */
export function scheduleNote({ kind, schedule, version }: ExpectedSchedule): string {
  if (kind !== 'pg_cron' || schedule === '10 seconds') return '';
  return `pg_cron ${version ?? ''} knows no seconds, so a job of a minute drains six times, 10 s apart`;
}

type Queryable = Pick<pg.ClientBase, 'query'>;

export async function expectedSchedule(database: Queryable): Promise<ExpectedSchedule> {
  const { rows } = await database.query<{ schedule: ExpectedSchedule }>(expectedScheduleSql);
  return rows[0]?.schedule ?? { kind: 'settler' };
}

/** What is wrong with the jobs that settle gifts here; empty where settlement is the settler's. */
export async function scheduleTroubles(database: Queryable): Promise<ScheduleTrouble[]> {
  const expected = await expectedSchedule(database);
  if (expected.kind === 'settler') return [];
  const { rows } = await database.query<{ installed: boolean }>(cronInstalledSql);
  if (!rows[0]?.installed) return [];
  return judgeJobs(expected, (await database.query<CronJob>(cronJobsSql, [expected.job])).rows);
}

/**
 * Pure: pg_cron's traps as far as they show in `cron.job` (ledger.md §5). It accepts a six-field schedule without a
 * word, whose sixth field is no seconds: only the exact text tells. Jobs run as the role that made them, which alone may
 * take them away; a role without BYPASSRLS does not even see those of others.
 */
export function judgeJobs(expected: ExpectedSchedule, jobs: readonly CronJob[]): ScheduleTrouble[] {
  const mine = jobs.find((job) => job.jobname === expected.job && job.username === job.me);
  const troubles: ScheduleTrouble[] = [];
  const identity = expected.job ?? 'settlement';
  if (mine === undefined) {
    troubles.push({
      identity,
      detail: `no job of this role: nothing settles gifts (expected ${expected.schedule})`,
    });
  } else {
    if (mine.schedule !== expected.schedule) {
      const fields = mine.schedule.trim().split(/\s+/).length;
      const trap =
        fields === 6 ? '; pg_cron takes six fields, but the sixth is no seconds: it runs by the minute' : '';
      troubles.push({
        identity,
        detail: `schedule is "${mine.schedule}", expected "${expected.schedule}"${trap}`,
      });
    }
    if (mine.command !== expected.command) {
      troubles.push({ identity, detail: `command is "${mine.command}", expected "${expected.command}"` });
    }
    if (!mine.active) troubles.push({ identity, detail: 'the job is switched off (active = false)' });
    if (mine.database !== mine.here) {
      troubles.push({ identity, detail: `the job runs in database ${mine.database}, not in ${mine.here}` });
    }
  }
  for (const other of jobs.filter((job) => job !== mine)) {
    troubles.push({
      identity: other.jobname ?? `job ${other.jobid}`,
      detail: `another job settles too, as ${other.username}: "${other.command}" (${other.schedule})`,
      fix: `psql -U ${other.username} -c 'select cron.unschedule(${other.jobid})'`,
    });
  }
  return troubles;
}
