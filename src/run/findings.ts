import { backlogLogged } from '../chaos/experiments/high-load.ts';
import type { MatrixRow } from '../record/matrix-row.ts';
import type { Measurement } from '../record/measurement.ts';
import { drillMeasurementIds, originalMatrixIds, type StatusRow } from '../record/run-record.ts';

/** What a run found, looked up by id. */
export class Findings {
  readonly measurements: readonly Measurement[];
  readonly matrix: readonly MatrixRow[];

  constructor(measurements: readonly Measurement[], matrix: readonly MatrixRow[]) {
    this.measurements = measurements;
    this.matrix = matrix;
  }

  measurement(id: string): Measurement | undefined {
    return this.measurements.find((m) => m.id === id);
  }

  row(id: string): MatrixRow | undefined {
    return this.matrix.find((r) => r.id === id);
  }

  /** Ids the drill promises and this run does not have at all, not even as `not_run`. */
  missingIds(): string[] {
    return [
      ...drillMeasurementIds.filter((id) => this.measurement(id) === undefined),
      ...originalMatrixIds.filter((id) => this.row(id) === undefined),
    ];
  }
}

type Outcome = 'held' | 'broken' | 'absent';

/** A measurement holds when it has a figure, at least one threshold was judged, and none failed. */
export function outcomeOf(measurement: Measurement | undefined): Outcome {
  if (measurement === undefined || measurement.status === 'not_run') return 'absent';
  if (measurement.thresholds.some((threshold) => !threshold.ok)) return 'broken';
  const hasFigure = measurement.status === 'measured' || measurement.status === 'estimate';
  return hasFigure && measurement.thresholds.length > 0 ? 'held' : 'absent';
}

function outcomeOfRow(row: MatrixRow | undefined): Outcome {
  if (row?.verdict === 'pass') return 'held';
  return row?.verdict === 'fail' ? 'broken' : 'absent';
}

interface Evidence {
  readonly label: string;
  readonly outcome: Outcome;
}

function combine(evidence: readonly Evidence[]): Pick<StatusRow, 'status' | 'evidence'> {
  const lines = evidence.map(({ label, outcome }) => `${label}: ${outcome}`);
  if (evidence.some((e) => e.outcome === 'broken')) return { status: 'failed', evidence: lines };
  if (evidence.every((e) => e.outcome === 'held')) return { status: 'verified', evidence: lines };
  if (evidence.every((e) => e.outcome === 'absent')) return { status: 'not_run', evidence: lines };
  return { status: 'partial', evidence: lines };
}

/** The six rows of the original report's Implementation Status, each from this run's own evidence. */
export function statusRows(findings: Findings): StatusRow[] {
  const measured = (id: string): Evidence => ({ label: id, outcome: outcomeOf(findings.measurement(id)) });
  const tried = (id: string): Evidence => ({
    label: `matrix ${id}`,
    outcome: outcomeOfRow(findings.row(id)),
  });
  return [
    {
      priority: 'P0',
      component: 'Security',
      feature: 'Hard Revocation',
      method:
        'A seat is revoked while its holder is in the room: `leave` seen by the holder, room clean by an independent witness; then every known way back is tried after a ban, a downgrade and an expiry, at the gate and at LiveKit itself.',
      ...revocationStatus(findings, [measured('seat.ejection'), tried('seat-expiration')]),
    },
    {
      priority: 'P0',
      component: 'Security',
      feature: 'Token Hygiene',
      method:
        'Hostile requests and forged JWTs against the token endpoint; every grant returned is compared with an allow-list; the service-role key is verified.',
      ...combine([measured('token.hygiene')]),
    },
    {
      priority: 'P1',
      component: 'Performance',
      feature: 'Chat Throttling',
      method:
        'The shipped client throttle under spam, and a client without it against the database; messages carry name and avatar denormalised.',
      ...combine([tried('chat-spam'), measured('chat.throughput')]),
    },
    {
      priority: 'P1',
      component: 'Reliability',
      feature: 'Gift Ledger',
      method:
        'Gifts sent and settled under load, with overdrawn senders and two drainers at once; money conserved, every gift settled exactly once.',
      ...combine([
        measured('gift.ingestion'),
        measured('gift.settlement'),
        tried('insufficient-funds'),
        tried('high-load'),
      ]),
    },
    {
      priority: 'P1',
      component: 'Observability',
      feature: 'Metrics',
      method:
        'Each settlement run of this drill is read back from `gift_batch_logs` with its `backlog_count`.',
      ...combine([batchLogEvidence(findings)]),
    },
    {
      priority: 'P1',
      component: 'Infrastructure',
      feature: 'HLS Playback',
      method:
        'Virtual viewers follow the live playlist by the rules of RFC 8216 and fetch every segment when it is due.',
      ...combine([measured('hls.startup'), measured('hls.viewers')]),
    },
  ];
}

/** Ejection alone is not a revocation: with a door still open, or one that nobody could try, it is only `partial`. */
function revocationStatus(
  findings: Findings,
  evidence: readonly Evidence[],
): Pick<StatusRow, 'status' | 'evidence'> {
  const doors = findings.measurement('seat.readmission');
  const back = { label: 'seat.readmission', outcome: outcomeOf(doors) };
  const result = combine([...evidence, back]);
  if (doors === undefined || doors.value === null) return result;
  const { where, direct } = entryOf(doors);
  const lines = [
    `${doors.value} of ${doors.samples} ways back were open ${where}`,
    ...(direct.open > 0 ? [`${portWords(direct)}: its own port must not be reachable by clients`] : []),
  ];
  const status = doors.value > 0 && result.status === 'verified' ? 'partial' : result.status;
  return { status, evidence: [...result.evidence, ...lines.map((line) => `seat.readmission: ${line}`)] };
}

/** Where ways back were counted, and what LiveKit itself let in beside that. */
function entryOf({ details, counts }: Measurement) {
  const gated = details.entry === 'gate';
  return {
    gated,
    where: gated ? 'at the gate' : 'at LiveKit, which has no gate in front of it',
    direct: { open: gated ? (counts.directOpen ?? 0) : 0, tried: counts.directDoors ?? 0 },
  };
}

function portWords({ open, tried }: { readonly open: number; readonly tried: number }): string {
  return `LiveKit itself let somebody back in by ${open} of ${tried} ways`;
}

/** Judged by the runs that should have logged a backlog, not by those that did: one that logged none is a fault. */
function batchLogEvidence(findings: Findings): Evidence {
  const logged = findings.row('high-load')?.invariants.find(({ name }) => name === backlogLogged);
  if (logged === undefined) return { label: 'gift_batch_logs', outcome: 'absent' };
  const { checked, violations } = logged;
  return {
    label: `${checked} runs in gift_batch_logs`,
    outcome: violations > 0 ? 'broken' : checked > 0 ? 'held' : 'absent',
  };
}

/** What to do about what was found, each with its reason. Nothing here is advice that no finding stands behind. */
export function nextSteps(findings: Findings): Array<{ text: string; because: string }> {
  return [
    ...brokenSteps(findings),
    ...doorSteps(findings),
    ...capacitySteps(findings),
    ...gapSteps(findings),
  ];
}

function brokenSteps(findings: Findings): Array<{ text: string; because: string }> {
  const rows = findings.matrix
    .filter((row) => row.verdict === 'fail')
    .map((row) => ({ text: row.remediation, because: `${row.scenario}: ${row.reason ?? row.observed}` }));
  const thresholds = findings.measurements.flatMap((m) =>
    m.thresholds
      .filter((t) => !t.ok)
      .map((t) => ({
        text: `Look into ${m.title}`,
        because: `${t.metric}: ${t.expr} failed, observed ${t.observed ?? 'no data'} over ${t.samples} samples`,
      })),
  );
  return [...rows, ...thresholds];
}

function doorSteps(findings: Findings): Array<{ text: string; because: string }> {
  const doors = findings.measurement('seat.readmission');
  if (doors === undefined || doors.value === null) return [];
  const { gated, where, direct } = entryOf(doors);
  const because = `${doors.value} of ${doors.samples} ways back were open ${where} after a seat was lost`;
  if (doors.value > 0) {
    const text = gated
      ? 'Find out what the gate lets through (`trollfix seat verify` shows which ways).'
      : 'Do not rely on ejection alone: put a gate in front of LiveKit (`trollfix guard --gate`), and keep its port private.';
    return [{ text, because: `${because}; LiveKit keeps no list of the removed.` }];
  }
  if (direct.open === 0) return [];
  const text =
    'Let clients reach the gate only: bind LiveKit’s own port to a private address or close it in the firewall.';
  return [{ text, because: `${portWords(direct)}; ${because}.` }];
}

function capacitySteps(findings: Findings): Array<{ text: string; because: string }> {
  const steps: Array<{ text: string; because: string }> = [];
  const ingestion = findings.measurement('gift.ingestion')?.value;
  const settlement = findings.measurement('gift.settlement')?.value;
  if (ingestion != null && settlement != null) {
    const ratio = settlement / ingestion;
    steps.push({
      text:
        ratio < 1
          ? 'Settlement cannot keep up with intake: shorten its interval or enlarge its batch before anything else.'
          : 'Watch `backlog_count` in `gift_batch_logs` (`trollfix gift backlog`): a growing backlog means the schedule is not running.',
      because: `gifts were taken in at ${ingestion.toFixed(0)}/s and settled at ${settlement.toFixed(0)}/s (${ratio.toFixed(1)} times intake).`,
    });
  }
  const estimates = findings.measurements.filter((m) => m.status === 'estimate').map((m) => m.title);
  if (estimates.length > 0) {
    steps.push({
      text: 'Read the throughput figures as "held this much", not as limits; raise `--rate` in `trollfix load` until one no longer holds.',
      because: `${estimates.join(', ')}: one fixed rate was offered, so no upper bound was seen.`,
    });
  }
  const viewers = findings.measurement('hls.viewers');
  if (viewers?.value) {
    steps.push({
      text: 'Before a large evening, repeat the HLS probe against the CDN and read its cache status.',
      because: `${viewers.value} viewers were held from one machine and one address; edges and geography were not covered.`,
    });
  }
  return steps;
}

function gapSteps(findings: Findings): Array<{ text: string; because: string }> {
  const measurements = findings.measurements
    .filter((m) => ['not_run', 'no_data', 'inconclusive', 'client_limited'].includes(m.status))
    .map((m) => ({
      text: `Make ${m.title} measurable`,
      because: `${m.status}: ${m.reason ?? 'no reason was given'}`,
    }));
  const rows = findings.matrix
    .filter((row) => ['not_run', 'unknown', 'invalid'].includes(row.verdict))
    .map((row) => ({
      text: `Run the experiment "${row.scenario}" again`,
      because: `${row.verdict}: ${row.reason ?? row.observed}`,
    }));
  return [...measurements, ...rows];
}
