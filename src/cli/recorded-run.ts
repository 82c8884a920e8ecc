import { randomInt } from 'node:crypto';
import path from 'node:path';
import type { Target } from '../config/target.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { ExitCode } from '../kernel/exit-codes.ts';
import { packageRoot } from '../kernel/package-root.ts';
import type { RunRecord } from '../record/run-record.ts';
import { markdownReport } from '../report/markdown.ts';
import { terminalReport } from '../report/terminal.ts';
import { buildRecord, linkEvidence } from '../run/build-record.ts';
import type { RunFindings } from '../run/drill.ts';
import { RunSession } from '../run/session.ts';
import type { CommandContext, CommandInput, CommandResult } from './command.ts';
import { numberOption, textOption } from './input-values.ts';
import { createRunId, RunFolder } from './run-folder.ts';
import { commitOfClone } from './tool-commit.ts';

export interface RecordedRun {
  /** `drill`, `load chat`, `chaos run`. */
  readonly command: string;
  readonly target: Target;
  /** Versions of what the target consists of. */
  readonly services: Record<string, string>;
  /** What was asked for, as the record tells it. */
  readonly config: Record<string, unknown>;
  readonly work: (session: RunSession, findings: RunFindings) => Promise<void>;
}

/**
 * One run from its folder to its verdict: holds the target, does the work, removes what was written, and leaves a
 * valid run.json and report.md, also when it was interrupted.
 */
export async function recordRun(
  context: CommandContext,
  input: CommandInput,
  run: RecordedRun,
): Promise<CommandResult> {
  const { clock, signal, log, progress } = context;
  // asked for or drawn now, it is printed and stands in the record
  const seed = numberOption(input, 'seed') ?? randomInt(2 ** 31);
  const startedAtMs = clock.now();
  const folder = await openFolder(context, input, startedAtMs);
  const findings: RunFindings = { measurements: [], matrix: [] };
  const session = await RunSession.open({
    ...{ target: run.target, runId: folder.runId, seed, clock, signal, log, progress },
    series: folder.series,
  });
  progress({ kind: 'note', text: `run ${folder.runId}, seed ${seed}` });
  try {
    await run.work(session, findings);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    progress({ kind: 'step', text: 'removing the synthetic rows' });
    await session.close();
  }
  const draft = buildRecord({
    ...{ runId: folder.runId, command: run.command, startedAtMs, finishedAtMs: clock.now(), seed, findings },
    ...{ config: run.config, target: run.target, services: run.services },
    nodeVersion: process.versions.node,
    commit: await commitOfClone(packageRoot),
    interrupted: signal.aborted ? interruptionCode(signal.reason) : undefined,
  });
  const record = await folder.save(draft, linkEvidence);
  return resultOf(context, record, folder.path);
}

async function openFolder(context: CommandContext, input: CommandInput, nowMs: number): Promise<RunFolder> {
  const runDir = textOption(input, 'runDir');
  return RunFolder.open({
    runId: createRunId(nowMs, randomInt(0x1_0000)),
    reportsDir: path.join(context.projectDir, 'reports'),
    ...(runDir === undefined ? {} : { runDir: path.resolve(context.cwd, runDir) }),
    redact: context.redact,
    log: context.log,
  });
}

function resultOf(context: CommandContext, record: RunRecord, folder: string): CommandResult {
  const { columns, style } = context.terminal;
  const where = path.relative(context.cwd, folder) || folder;
  const failure = record.interrupted ? undefined : failureOf(record, where);
  return {
    data: { ...record, folder },
    text: () =>
      `${terminalReport(record, { columns, paint: style })}\nreport: ${path.join(where, 'report.md')}\n`,
    jobSummary: () => markdownReport(record),
    annotations: annotationsOf(record),
    ...(failure === undefined ? {} : { failure }),
  };
}

function failureOf(record: RunRecord, where: string): TrollfixError | undefined {
  const hint = `read the report: \`trollfix report show ${where}\``;
  const why = annotationsOf(record).join('; ') || undefined;
  const options = why === undefined ? { hint } : { hint, why };
  switch (record.exitCode) {
    case ExitCode.ok:
      return undefined;
    case ExitCode.invariant:
      return record.matrix.some((row) => row.verdict === 'fail')
        ? new TrollfixError('TF-CHAOS-002', 'a crash-matrix row failed', options)
        : new TrollfixError('TF-LOAD-004', 'an invariant was violated', options);
    case ExitCode.checkFailed:
      return new TrollfixError('TF-LOAD-001', 'a threshold failed', options);
    default:
      return record.measurements.some((m) => m.status === 'client_limited')
        ? new TrollfixError('TF-LOAD-002', 'the load generator was the bottleneck', options)
        : new TrollfixError('TF-LOAD-005', 'part of the run could not be told', options);
  }
}

/** What is wrong with a run, one line each. */
function annotationsOf(record: RunRecord): string[] {
  const rows = record.matrix
    .filter((row) => row.verdict !== 'pass' && row.verdict !== 'not_run')
    .map((row) => `${row.id}: ${row.verdict}, ${row.reason ?? row.observed}`);
  const thresholds = record.measurements.flatMap((m) =>
    m.thresholds
      .filter((t) => !t.ok)
      .map(
        (t) =>
          `${m.id}: ${t.metric}: ${t.expr} failed, observed ${t.observed ?? 'no data'} over ${t.samples} samples`,
      ),
  );
  const unclear = record.measurements
    .filter(({ status }) => status === 'client_limited' || status === 'inconclusive' || status === 'no_data')
    .map((m) => `${m.id}: ${m.status}, ${m.reason ?? 'no reason was given'}`);
  return [...rows, ...thresholds, ...unclear];
}

function interruptionCode(reason: unknown): ExitCode {
  return reason instanceof TrollfixError ? reason.exitCode : ExitCode.interrupted;
}
