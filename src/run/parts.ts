import type { Experiment } from '../chaos/experiment.ts';
import { runExperiment } from '../chaos/run-experiment.ts';
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
 * Runs a probe. One that fails gives its measurements as `inconclusive` with the reason, so that the rest of the run
 * goes on; an interruption is passed on.
 */
export async function runPart(session: RunSession, part: Part): Promise<Measurement[]> {
  const context = session.contextFor(part.name);
  context.signal.throwIfAborted();
  context.progress({ kind: 'step', text: `probe ${part.name}` });
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
