import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { redact } from '../kernel/redact.ts';
import type { ProbeContext } from '../probes/probe.ts';
import type { Invariant, MatrixRow, Verdict } from '../record/matrix-row.ts';
import type { Experiment, Need, Observation } from './experiment.ts';

/** The file of an experiment's history in the run's folder. */
export function historyFileOf(experiment: Experiment): string {
  return `matrix.${experiment.id}.ndjson`;
}

/**
 * Runs an experiment `repetitions` times and judges it. One repetition that fails makes the row fail; repetitions
 * that differ are shown as flips. A row whose invariants looked at nothing is `unknown`, one whose fault did not bite
 * is `invalid`, one that lacks what it needs is `not_run`: none of these counts as passed.
 * @param contextOf gives each repetition a context with a run id of its own, so that repetitions share no rows
 */
export async function runExperiment(
  experiment: Experiment,
  contextOf: (repetition: number) => ProbeContext,
  repetitions: number,
): Promise<MatrixRow> {
  const first = contextOf(1);
  const missing = missingNeeds(experiment.needs, first);
  if (missing !== undefined) return emptyRow(experiment, 'not_run', missing);

  const outcomes: Outcome[] = [];
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    const context = repetition === 1 ? first : contextOf(repetition);
    context.signal.throwIfAborted();
    outcomes.push(await runOnce(experiment, context, repetition));
  }
  return toRow(experiment, outcomes);
}

interface Outcome {
  readonly verdict: Verdict;
  readonly observation: Observation | undefined;
  readonly reason: string | undefined;
}

async function runOnce(experiment: Experiment, context: ProbeContext, repetition: number): Promise<Outcome> {
  const startedAt = context.clock.monotonicMs();
  const file = historyFileOf(experiment);
  try {
    const observation = await experiment.run({
      ...context,
      history: (entry) =>
        context.series(file, {
          repetition,
          atMs: Math.round((context.clock.monotonicMs() - startedAt) * 1000) / 1000,
          ...entry,
        }),
    });
    context.series(file, { repetition, op: 'verdict', type: 'info', value: observation.invariants });
    return { ...judge(observation), observation };
  } catch (error) {
    if (context.signal.aborted) throw error;
    const code = error instanceof TrollfixError ? `${error.code}: ` : '';
    return {
      verdict: 'unknown',
      observation: undefined,
      reason: redact(`the experiment did not finish: ${code}${messageOf(error)}`),
    };
  }
}

/** The row of an experiment that was not come to. */
export function notRunRow(experiment: Experiment, reason: string): MatrixRow {
  return emptyRow(experiment, 'not_run', reason);
}

/** The verdict of one repetition, from its invariants. */
export function judge(observation: Observation): { verdict: Verdict; reason: string | undefined } {
  if (observation.invalid !== undefined) return { verdict: 'invalid', reason: observation.invalid };
  const violated = observation.invariants.filter((invariant) => invariant.violations > 0);
  if (violated.length > 0) {
    return {
      verdict: 'fail',
      reason: violated.map((i) => `${i.name}: ${i.violations} of ${i.checked}`).join('; '),
    };
  }
  const blind = observation.invariants.filter((invariant) => invariant.checked === 0);
  if (observation.invariants.length === 0 || blind.length > 0) {
    const names = blind.map((invariant) => invariant.name).join(', ');
    return { verdict: 'unknown', reason: `nothing was checked${names ? `: ${names}` : ''}` };
  }
  return { verdict: 'pass', reason: undefined };
}

// From worst to best: the row shows the worst repetition.
const severity: readonly Verdict[] = ['fail', 'invalid', 'unknown', 'not_run', 'pass'];

function toRow(experiment: Experiment, outcomes: readonly Outcome[]): MatrixRow {
  const worst = severity.flatMap((verdict) => outcomes.filter((o) => o.verdict === verdict))[0];
  if (worst === undefined) return emptyRow(experiment, 'not_run', 'no repetition was asked for');
  const verdicts = outcomes.map((outcome) => outcome.verdict);
  const flips = verdicts.filter((verdict, i) => i > 0 && verdict !== verdicts[i - 1]).length;
  const base = emptyRow(experiment, worst.verdict, worst.reason);
  const seen = worst.observation;
  if (seen === undefined) return { ...base, repetitions: outcomes.length, details: { verdicts, flips } };
  return {
    ...base,
    observed: seen.observed,
    fault: seen.fault,
    load: seen.load,
    steadyState: seen.steadyState,
    detectionMs: seen.detectionMs,
    recoveryMs: seen.recoveryMs,
    invariants: [...seen.invariants],
    repetitions: outcomes.length,
    details: { ...seen.details, verdicts, flips },
  };
}

function emptyRow(experiment: Experiment, verdict: Verdict, reason: string | undefined): MatrixRow {
  return {
    id: experiment.id,
    scenario: experiment.scenario,
    expected: experiment.expected,
    observed: reason ?? '',
    remediation: experiment.remediation,
    verdict,
    fault: null,
    load: { offered: 0, achieved: 0, samples: 0 },
    steadyState: { before: null, during: null, after: null },
    detectionMs: null,
    recoveryMs: null,
    invariants: [],
    repetitions: 0,
    evidence: [],
    ...(reason === undefined ? {} : { reason }),
    details: {},
  };
}

function missingNeeds(needs: readonly Need[], context: ProbeContext): string | undefined {
  const { target, database } = context;
  if (needs.includes('database') && database === undefined) {
    return `target ${target.name} has no databaseUrl: set it with \`trollfix init\``;
  }
  if (needs.includes('userTokens') && target.jwtSecret === undefined && target.serviceRoleKey === undefined) {
    return `target ${target.name} has neither jwtSecret nor serviceRoleKey to make synthetic users with: set one with \`trollfix init\``;
  }
  if (needs.includes('livekit') && (target.livekit === undefined || target.tokenEndpoint === undefined)) {
    return target.kind === 'embedded'
      ? 'no livekit-server: set TROLLFIX_LIVEKIT_BIN, or install Go and run `trollfix up` again'
      : `target ${target.name} has no livekit settings: set them with \`trollfix init\``;
  }
  return undefined;
}

/** An invariant from what was looked at: `violations` are described one by one, at most 20 of them. */
export function invariant(name: string, checked: number, violations: readonly string[]): Invariant {
  return { name, checked, violations: violations.length, details: violations.slice(0, 20) };
}
