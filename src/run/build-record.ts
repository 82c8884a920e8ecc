import type { Target } from '../config/target.ts';
import { ExitCode } from '../kernel/exit-codes.ts';
import { packageVersion } from '../kernel/package-root.ts';
import type { MatrixRow } from '../record/matrix-row.ts';
import type { Measurement } from '../record/measurement.ts';
import type { Artifact, RunRecord } from '../record/run-record.ts';
import type { RunFindings } from './drill.ts';
import { Findings, nextSteps, statusRows } from './findings.ts';
import { describeMachine } from './machine.ts';

export interface RecordInputs {
  readonly runId: string;
  readonly command: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly seed: number;
  readonly config: Record<string, unknown>;
  readonly target: Target;
  /** Versions of the target's services, as far as they are known. */
  readonly services: Record<string, string>;
  readonly nodeVersion: string;
  readonly commit: string | null;
  readonly findings: RunFindings;
  /** The exit code that the interruption asks for, when there was one. */
  readonly interrupted: ExitCode | undefined;
}

/**
 * The run document, from what the run found. The verdict is made here and nowhere else.
 * Status rows and next steps only where the whole drill ran: a single probe says nothing about the other parts.
 */
export function buildRecord(inputs: RecordInputs): Omit<RunRecord, 'artifacts'> {
  const { findings, target } = inputs;
  const seen = new Findings(findings.measurements, findings.matrix);
  const exitCode = inputs.interrupted ?? verdictOf(findings);
  const whole = inputs.command === 'drill';
  return {
    schema: 'trollfix.run/v1',
    runId: inputs.runId,
    command: inputs.command,
    startedAt: new Date(inputs.startedAtMs).toISOString(),
    finishedAt: new Date(inputs.finishedAtMs).toISOString(),
    ok: exitCode === ExitCode.ok,
    exitCode,
    ...(inputs.interrupted === undefined ? {} : { interrupted: true }),
    tool: { version: packageVersion(), node: inputs.nodeVersion, commit: inputs.commit },
    machine: describeMachine(),
    target: {
      name: target.name,
      kind: target.kind,
      host: new URL(target.supabaseUrl).host,
      services: inputs.services,
      labels: target.kind === 'embedded' ? [...embeddedLabels] : [],
    },
    seed: inputs.seed,
    config: inputs.config,
    status: whole ? statusRows(seen) : [],
    measurements: [...findings.measurements],
    matrix: [...findings.matrix],
    nextSteps: nextSteps(seen),
  };
}

/** How the embedded target differs from the hosted service (design/supabase.md §8): what its figures cannot show. */
const embeddedLabels = [
  'Throughput and latency are of one machine on loopback: no TLS, no edge proxies, no region round trips, no cluster.',
  'Realtime quotas are enforced only when the stack was started with a plan (`trollfix up --plan free|pro|team`).',
  'postgres_changes streams the WAL (about 2 ms) instead of polling every 100–500 ms, and checks RLS once per distinct claims instead of once per subscription.',
  '`Prefer: tx=rollback` is honoured; the hosted default ignores it.',
  'No pooler limits, compute tiers or disk quotas; settlement is scheduled by the settler instead of pg_cron.',
  'Auth, PostgREST and Edge Functions are the parts that supabase-js and this tool use, not the whole services.',
  'Restarts, failovers and deploys of the hosted service cannot be seen here.',
] as const;

/**
 * The exit code of a finished run, worst first: an invariant was violated, a threshold failed, a figure is missing
 * that should be there. What could not run for want of a part (`not_run`) is no failure, and never counts as passed.
 */
export function verdictOf({ measurements, matrix }: RunFindings): ExitCode {
  if (matrix.some((row) => row.verdict === 'fail')) return ExitCode.invariant;
  if (measurements.some(hasBrokenInvariant)) return ExitCode.invariant;
  if (measurements.some((m) => m.thresholds.some((threshold) => !threshold.ok))) return ExitCode.checkFailed;
  if (measurements.some(isUnclear) || matrix.some(isUnclearRow)) return ExitCode.inconclusive;
  const ran = measurements.some((m) => m.status !== 'not_run') || matrix.some((r) => r.verdict !== 'not_run');
  return ran ? ExitCode.ok : ExitCode.inconclusive;
}

/** Counts under these names are things that must never happen, whatever the load. */
const invariantCounts = ['violations', 'lost', 'duplicated', 'reordered', 'unexpected'] as const;

function hasBrokenInvariant(measurement: Measurement): boolean {
  const failed = measurement.thresholds.some((threshold) => !threshold.ok);
  return failed && invariantCounts.some((name) => (measurement.counts[name] ?? 0) > 0);
}

function isUnclear({ status }: Measurement): boolean {
  return status === 'client_limited' || status === 'inconclusive' || status === 'no_data';
}

function isUnclearRow({ verdict }: MatrixRow): boolean {
  return verdict === 'unknown' || verdict === 'invalid';
}

/** Links each row of the matrix to the files its history is in, once their digests are known. */
export function linkEvidence(
  record: Omit<RunRecord, 'artifacts'>,
  artifacts: readonly Artifact[],
): Omit<RunRecord, 'artifacts'> {
  const matrix = record.matrix.map((row) => ({
    ...row,
    evidence: artifacts
      .filter(({ path }) => path.startsWith(`matrix.${row.id}.`))
      .map(({ path, sha256 }) => ({ path, sha256 })),
  }));
  return { ...record, matrix };
}
