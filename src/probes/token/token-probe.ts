import { type Measurement, notRun } from '../../record/measurement.ts';
import { ownTokenForm } from '../../target/livekit/token-form.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { missingForCohort } from '../seat-cohort.ts';
import { countMetric, judgeThresholds, readThresholds } from '../verdict.ts';
import type { AttackRow } from './attack.ts';
import { attackOwnEndpoint } from './own-endpoint.ts';

const measurementId = 'token.hygiene';
const title = 'Token Hygiene';
const metric = 'token_hygiene_failed';

/**
 * Sends the table of hostile requests to the target's token endpoint and compares every token it gives with an
 * allow-list (`token.hygiene`: value = cases that held, samples = cases). Needs no LiveKit server. The table is what
 * it is: nothing of the plan applies.
 */
export async function runTokenProbe(context: ProbeContext, _plan: LoadPlan): Promise<ProbeResult> {
  const { tokenEndpoint } = context.target;
  const missing =
    tokenEndpoint === undefined
      ? 'the target has no tokenEndpoint: set TOKEN_ENDPOINT, or tokenEndpoint in trollfix.yaml'
      : missingForCohort(context);
  if (tokenEndpoint === undefined || missing !== null) {
    return { measurements: [notRun(measurementId, title, 'cases held', missing ?? '')] };
  }
  const rows = await attackOwnEndpoint(context, {
    form: ownTokenForm(tokenEndpoint),
    trusted: true,
    paceMs: 0,
  });
  if (typeof rows === 'string') return { measurements: [notRun(measurementId, title, 'cases held', rows)] };
  for (const row of rows) context.series('token.hygiene.ndjson', { ...row });
  return { measurements: [hygieneMeasurement(rows)] };
}

function hygieneMeasurement(rows: readonly AttackRow[]): Measurement {
  const of = (verdict: AttackRow['verdict']) => rows.filter((row) => row.verdict === verdict);
  const [held, breached, unclear] = [of('held'), of('breached'), of('inconclusive')];
  // what the target's configuration gives no means to ask is told, but says nothing against the answers there are
  const inconclusive = unclear.filter(({ answer }) => answer !== null);
  const judged = held.length + breached.length;
  const thresholds = judgeThresholds(
    readThresholds({ [metric]: 'counter' }, [`${metric}: count==0`]),
    [countMetric(metric, breached.length, judged, 0)],
    () => true,
  );
  const groups = Map.groupBy(rows, ({ group }) => group);
  const status = judged === 0 ? 'no_data' : inconclusive.length > 0 ? 'inconclusive' : 'measured';
  return {
    id: measurementId,
    title,
    status,
    value: judged === 0 ? null : held.length,
    unit: 'cases held',
    bounds: null,
    samples: judged,
    latencyMs: null,
    theoretical: {
      value: rows.length,
      unit: 'cases',
      source: 'the table of hostile requests (livekit.md §4)',
    },
    bottleneck: {
      kind: 'unknown',
      evidence: breached.slice(0, 5).map(wordsOf),
      confirmed: false,
    },
    counts: {
      cases: rows.length,
      held: held.length,
      breached: breached.length,
      inconclusive: inconclusive.length,
      notAsked: unclear.length - inconclusive.length,
      violations: breached.length,
    },
    thresholds,
    generator: null,
    series: 'token.hygiene.ndjson',
    ...(inconclusive[0] === undefined
      ? {}
      : { reason: `${inconclusive.length} cases could not be judged: ${wordsOf(inconclusive[0])}` }),
    details: {
      breached,
      notAsked: unclear.filter(({ answer }) => answer === null).map(wordsOf),
      groups: Object.fromEntries(
        [...groups].map(([group, cases]) => [
          group,
          { cases: cases.length, held: cases.filter(({ verdict }) => verdict === 'held').length },
        ]),
      ),
    },
  };
}

function wordsOf({ name, why }: AttackRow): string {
  return `${name}: ${why.join(', ')}`;
}
