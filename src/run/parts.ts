import type { Experiment } from '../chaos/experiment.ts';
import { notRunRow, runExperiment } from '../chaos/run-experiment.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { redact } from '../kernel/redact.ts';
import type { ProbeContext, ProbeResult } from '../probes/probe.ts';
import type { MatrixRow } from '../record/matrix-row.ts';
import { type Measurement, notRun } from '../record/measurement.ts';
import type { RunSession } from './session.ts';

/** A probe and the measurements it owes: should it fail, each of them still says so in the report. */
export interface Part {
  readonly name: string;
  readonly owes: ReadonlyArray<{ readonly id: string; readonly title: string; readonly unit: string }>;
  run(context: ProbeContext): Promise<ProbeResult>;
}

/**
 * A generator that was disturbed once (a pause of 50 ms at 427/s is enough) gives no verdict on the target, and on a
 * shared machine that happens: the probe is then run again, as a person would. Three times in a row is the machine's own
 * limit and is reported as such.
 */
const attemptsLimit = 3;

/**
 * Runs a probe. One that fails gives its measurements as `inconclusive` with the reason, so that the rest of the run
 * goes on; an interruption is passed on. Each attempt has a run id of its own, and `details.attempts` tells of them.
 */
export async function runPart(session: RunSession, part: Part): Promise<Measurement[]> {
  const disturbed: string[] = [];
  for (let attempt = 1; ; attempt++) {
    const context = session.contextFor(attempt === 1 ? part.name : `${part.name}.${attempt}`);
    context.signal.throwIfAborted();
    context.progress({ kind: 'step', text: `probe ${part.name}${attempt === 1 ? '' : ', once more'}` });
    const measurements = await attemptPart(context, part);
    const limited = measurements.find(({ status }) => status === 'client_limited');
    if (limited === undefined || attempt === attemptsLimit) {
      return disturbed.length === 0 ? measurements : measurements.map((m) => withAttempts(m, disturbed));
    }
    const why = `${limited.id}: ${limited.reason ?? 'client_limited'}`;
    disturbed.push(why);
    context.progress({ kind: 'note', text: `${why}; measuring again` });
  }
}

function withAttempts(measurement: Measurement, disturbed: readonly string[]): Measurement {
  return { ...measurement, details: { ...measurement.details, attempts: disturbed.length + 1, disturbed } };
}

async function attemptPart(context: ProbeContext, part: Part): Promise<Measurement[]> {
  try {
    const { measurements } = await part.run(context);
    const made = new Set(measurements.map((measurement) => measurement.id));
    const silent = part.owes.filter((owed) => !made.has(owed.id));
    return [
      ...measurements,
      ...silent.map(({ id, title, unit }) => inconclusive(id, title, unit, 'the probe gave no such figure')),
    ];
  } catch (error) {
    if (context.signal.aborted) throw error;
    const code = error instanceof TrollfixError ? `${error.code}: ` : '';
    const why = redact(`the probe failed: ${code}${messageOf(error)}`);
    context.log.warn(`probe ${part.name}: ${why}`);
    if (!(error instanceof TrollfixError)) {
      context.log.debug(redact(error instanceof Error ? (error.stack ?? '') : ''));
    }
    return part.owes.map(({ id, title, unit }) => inconclusive(id, title, unit, why));
  }
}

/** What the parts owe that an interrupted run did not come to. */
export function owedBy(parts: readonly Part[], done: readonly Measurement[], reason: string): Measurement[] {
  const made = new Set(done.map((measurement) => measurement.id));
  return parts
    .flatMap((part) => part.owes)
    .filter(({ id }) => !made.has(id))
    .map(({ id, title, unit }) => notRun(id, title, unit, reason));
}

/** The rows of experiments that an interrupted run did not come to. */
export function rowsOwed(
  experiments: readonly Experiment[],
  done: readonly MatrixRow[],
  reason: string,
): MatrixRow[] {
  const made = new Set(done.map((row) => row.id));
  return experiments.filter(({ id }) => !made.has(id)).map((experiment) => notRunRow(experiment, reason));
}

/** Runs experiments one after the other: they share the target, and one must not be blamed for another's load. */
export async function runMatrix(
  session: RunSession,
  experiments: readonly Experiment[],
  repetitions: number,
  onRow: (row: MatrixRow) => void,
): Promise<void> {
  for (const experiment of experiments) {
    const contextOf = (repetition: number) => session.contextFor(`${experiment.id}.${repetition}`);
    contextOf(1).progress({ kind: 'step', text: `experiment ${experiment.id}` });
    onRow(await runExperiment(experiment, contextOf, repetitions));
  }
}

function inconclusive(id: string, title: string, unit: string, reason: string): Measurement {
  return { ...notRun(id, title, unit, reason), status: 'inconclusive' };
}
