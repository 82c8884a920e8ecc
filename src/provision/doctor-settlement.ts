import { settlementHealthSql } from './doctor.sql.ts';
import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';
import { cronChecks } from './doctor-cron.ts';
import { query } from './doctor-database.ts';
import { expectedSchedule, scheduleNote, scheduleTroubles } from './schedule.ts';

export const settlementChecks: readonly CheckDefinition[] = [
  { id: 'settlement.schedule', title: 'somebody settles gifts', needs: 'schema.current', run: schedule },
  ...cronChecks,
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
    const more = troubles.length > 1 ? `; and ${troubles.length - 1} more` : '';
    return {
      status: 'fail',
      detail: `${first.identity}: ${first.detail}${more}`,
      fix: first.fix ?? 'trollfix provision',
    };
  }
  const note = scheduleNote(expected);
  return {
    status: 'ok',
    detail: `pg_cron ${expected.version}: ${expected.job} at "${expected.schedule}"${note ? `; ${note}` : ''}`,
  };
}

export interface HealthRow {
  verdict: string;
  backlog: string;
  /** null: nothing waits. */
  oldest_pending_s: number | null;
  since_last_finish_s: number | null;
  last_error: string | null;
}

async function health(context: DoctorContext): Promise<Finding> {
  const [row] = (await query<HealthRow>(context, settlementHealthSql)).rows;
  if (row === undefined) throw new Error('gift_health gave no row'); // it is an aggregate: it always does
  return judgeHealth(row);
}

/** A schedule of minutes starts within one, and some seconds are no accident. */
const firstRunS = 65;

/** Pure: what `gift_health` says; a ledger that nobody has settled yet is stalled once a gift waits in vain. */
export function judgeHealth(row: HealthRow): Finding {
  const since =
    row.since_last_finish_s === null ? 'no run yet' : `last run ${row.since_last_finish_s.toFixed(0)} s ago`;
  const detail = `${row.verdict}: ${row.backlog} pending, ${since}${row.last_error ? `, ${row.last_error}` : ''}`;
  if (row.verdict === 'ok') return { status: 'ok', detail };
  const isNew = row.since_last_finish_s === null && row.last_error === null;
  if (row.verdict === 'stalled' && isNew && (row.oldest_pending_s ?? 0) <= firstRunS) {
    return {
      status: 'warn',
      detail: `nobody has settled yet: ${row.backlog} pending; look again in a minute`,
      fix: 'trollfix doctor',
    };
  }
  return {
    status: row.verdict === 'late' ? 'warn' : 'fail',
    detail,
    fix: row.verdict === 'stalled' ? 'trollfix settle --watch' : 'trollfix gift backlog',
  };
}
