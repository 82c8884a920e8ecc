import type { CheckDefinition, DoctorContext, Finding } from './doctor-check.ts';
import { query } from './doctor-database.ts';
import { guardsSql, stuckEjectionsSql } from './doctor-guard.sql.ts';

export const guardChecks: readonly CheckDefinition[] = [
  { id: 'guard.alive', title: 'a guard carries revocations out', needs: 'schema.current', run: guardAlive },
];

/** As guards of any version say of themselves. */
interface GuardRow {
  readonly id: string;
  readonly age_s: number;
  readonly state: {
    readonly healthy?: boolean;
    readonly alarms?: readonly string[];
    readonly gateUrl?: string | null;
    readonly metricsUrl?: string | null;
  };
}

async function guardAlive(context: DoctorContext): Promise<Finding> {
  if (context.target.livekit === undefined) return { status: 'skip', detail: 'the target has no LiveKit' };
  const { rows: guards } = await query<GuardRow>(context, guardsSql);
  const [first] = guards;
  if (first === undefined) {
    const { rows } = await query<{ stuck: number }>(context, stuckEjectionsSql);
    const stuck = rows[0]?.stuck ?? 0;
    const waiting = stuck === 0 ? '' : `, and ${stuck} ejections wait for one`;
    const detail = `no guard has been heard of for 15 s${waiting}: who is banned stays in the room`;
    return { status: stuck === 0 ? 'warn' : 'fail', detail, fix: 'trollfix guard --gate 0.0.0.0:7890' };
  }
  const ailing = guards.find(({ state }) => state.healthy !== true);
  if (ailing !== undefined) {
    const alarms = ailing.state.alarms?.join('; ') || 'it has not looked into any room yet';
    const at = ailing.state.metricsUrl;
    // one that is well does the work of all
    return {
      status: guards.some(({ state }) => state.healthy) ? 'warn' : 'fail',
      detail: `guard ${ailing.id}: ${alarms}`,
      fix: at ? `curl -s ${at}/healthz` : 'read its log',
    };
  }
  const gate = guards.map(({ state }) => state.gateUrl).find(Boolean);
  const count = guards.length === 1 ? 'one guard' : `${guards.length} guards`;
  if (gate === undefined) {
    return {
      status: 'warn',
      detail: `${count}, none with a gate: a token that was given lets its holder back in until they are noticed`,
      fix: 'trollfix guard --gate 0.0.0.0:7890',
    };
  }
  return { status: 'ok', detail: `${count}, gate ${gate}` };
}
