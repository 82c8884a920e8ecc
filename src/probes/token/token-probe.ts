import { sleep } from '../../kernel/clock.ts';
import { type Measurement, notRun } from '../../record/measurement.ts';
import { requestToken } from '../../target/livekit/token-endpoint.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { missingForCohort, openSeatCohort, type SeatCohort } from '../seat-cohort.ts';
import { countMetric, judgeThresholds, readThresholds } from '../verdict.ts';
import { hostileCases, type Scene } from './hostile-cases.ts';
import { type CaseResult, judgeAnswer } from './judge.ts';
import { checkServiceRole } from './service-role.ts';

const measurementId = 'token.hygiene';
const title = 'Token Hygiene';
const metric = 'token_hygiene_failed';

/** One who watches, one per kind of seat, and one who is banned. */
const castSize = 6;

/** The shortest seat the database takes that surely lies in its future; the probe waits until it is over. */
const expiringSeatMs = 1_000;

interface CaseRow {
  readonly group: string;
  readonly name: string;
  readonly result: CaseResult;
}

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
  const cohort = await openSeatCohort(context, { users: castSize, streams: 2, name: 'token' });
  try {
    const scene = await setScene(context, cohort);
    const unusable = await unusableEndpoint(tokenEndpoint, scene);
    if (unusable !== null) return { measurements: [notRun(measurementId, title, 'cases held', unusable)] };
    const rows = [
      ...(await runCases(context, tokenEndpoint, scene)),
      ...(await checkServiceRole(context, scene)).map((row) => ({ group: 'service-role', ...row })),
    ];
    for (const { group, name, result } of rows)
      context.series('token.hygiene.ndjson', { group, name, ...result });
    return { measurements: [hygieneMeasurement(rows)] };
  } finally {
    await cohort.close();
  }
}

/** Casts the parts: seats given, taken, run out, and a ban. */
async function setScene(context: ProbeContext, cohort: SeatCohort): Promise<Scene> {
  const { target, clock, signal } = context;
  const [viewer, speaker, listener, downgraded, expired, banned] = cohort.users;
  const [stream, otherStream] = cohort.streams;
  if (!viewer || !speaker || !listener || !downgraded || !expired || !banned || !stream || !otherStream) {
    throw new Error('the synthetic run is smaller than asked for');
  }
  await cohort.grant(stream, [speaker.id, downgraded.id, banned.id]);
  await cohort.grant(stream, [listener.id, downgraded.id], { canPublish: false });
  const expiresAt = new Date(clock.now() + expiringSeatMs);
  await cohort.grant(stream, [expired.id], { expiresAt });
  await cohort.revoke(stream, [banned.id]);
  // its own tick past the second, for a database whose clock is a little behind
  await sleep(Math.max(0, expiresAt.getTime() - clock.now()) + 100, signal);
  return {
    ...{ stream, otherStream, viewer, speaker, listener, downgraded, expired, banned },
    anonKey: target.anonKey.reveal(),
    serviceRoleKey: target.serviceRoleKey?.reveal(),
    jwtSecret: target.jwtSecret?.reveal(),
    nowS: Math.floor(clock.now() / 1000),
  };
}

/** Why nothing can be learnt from the endpoint: one that is not there, or has no LiveKit, gives nobody a token. */
async function unusableEndpoint(endpoint: string, scene: Scene): Promise<string | null> {
  const body = JSON.stringify({ streamId: scene.stream });
  const answer = await requestToken(endpoint, { apiKey: scene.anonKey, bearer: scene.viewer.token, body });
  if (answer.status === 0)
    return `${endpoint} does not answer (${answer.problem}): check \`trollfix status\``;
  if (answer.status !== 503) return null;
  return `${endpoint} gives no tokens (503: ${answer.problem}): start LiveKit, \`trollfix up --detach\``;
}

async function runCases(context: ProbeContext, endpoint: string, scene: Scene): Promise<CaseRow[]> {
  const rows: CaseRow[] = [];
  const honest = new Map<string, Record<string, unknown>>();
  // one after the other: what one request does to the process must show in the next
  for (const testCase of hostileCases(scene)) {
    context.signal.throwIfAborted();
    const answer = await requestToken(endpoint, testCase.request);
    const result = await judgeAnswer(testCase, answer, context.target, honest, context.clock.now());
    rows.push({ group: testCase.group, name: testCase.name, result });
  }
  return rows;
}

function hygieneMeasurement(rows: readonly CaseRow[]): Measurement {
  const of = (verdict: CaseResult['verdict']) => rows.filter(({ result }) => result.verdict === verdict);
  const [held, failed, untested] = [of('held'), of('failed'), of('untested')];
  const judged = held.length + failed.length;
  const thresholds = judgeThresholds(
    readThresholds({ [metric]: 'counter' }, [`${metric}: count==0`]),
    [countMetric(metric, failed.length, judged, 0)],
    () => true,
  );
  const groups = Map.groupBy(rows, ({ group }) => group);
  const status = judged === 0 ? 'no_data' : untested.length > 0 ? 'inconclusive' : 'measured';
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
      evidence: failed.slice(0, 5).map(({ name, result }) => `${name}: ${wordsOf(result)}`),
      confirmed: false,
    },
    counts: {
      cases: rows.length,
      held: held.length,
      failed: failed.length,
      untested: untested.length,
      violations: failed.length,
    },
    thresholds,
    generator: null,
    series: 'token.hygiene.ndjson',
    ...(untested.length === 0
      ? {}
      : { reason: `${untested.length} cases got no answer: ${wordsOf(untested[0]?.result)}` }),
    details: {
      failed: failed.map(({ group, name, result }) => ({ group, name, ...result })),
      groups: Object.fromEntries(
        [...groups].map(([group, cases]) => [
          group,
          { cases: cases.length, held: cases.filter(({ result }) => result.verdict === 'held').length },
        ]),
      ),
    },
  };
}

function wordsOf(result: CaseResult | undefined): string {
  return result?.verdict === 'failed' ? result.why.join(', ') : (result?.answer ?? '');
}
