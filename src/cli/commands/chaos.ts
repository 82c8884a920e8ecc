import Table from 'cli-table3';
import type { Experiment } from '../../chaos/experiment.ts';
import { experiments } from '../../chaos/experiments.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { nearest } from '../../kernel/nearest.ts';
import { runMatrix } from '../../run/parts.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { recordRun } from '../recorded-run.ts';
import { assertSafe } from '../safety.ts';
import { runningStack, servicesOf } from '../target-services.ts';

export const listExperiments: CommandRun = async ({ terminal }) => ({
  data: {
    experiments: experiments.map(({ run: _, ...described }) => ({
      ...described,
      needs: [...described.needs],
    })),
  },
  text: () => experimentTable(experiments, terminal.columns),
});

export const runExperiments: CommandRun = async (context, input) => {
  const chosen = chosenExperiments(input);
  if (input.options.dryRun === true) {
    return {
      data: { dryRun: true, experiments: chosen.map(({ id, does, touches }) => ({ id, does, touches })) },
      text: () => `would run, one after the other:\n\n${experimentTable(chosen, context.terminal.columns)}`,
    };
  }
  const target = await context.target();
  // the largest experiment has 200 users and sends gifts as fast as the database takes them
  await assertSafe(context, target, { what: 'chaos', ratePerS: 0, users: 200 });
  const repetitions = numberOption(input, 'repeat') ?? 1;
  const stack = target.kind === 'embedded' ? await runningStack(context.stateDir) : undefined;
  return recordRun(context, input, {
    command: 'chaos run',
    target,
    services: await servicesOf(target, stack),
    config: { experiments: chosen.map(({ id }) => id), repetitions },
    work: (session, findings) =>
      runMatrix(session, chosen, repetitions, (row) => {
        findings.matrix.push(row);
        context.progress({ kind: 'done', text: `${row.id}: ${row.verdict}` });
      }),
  });
};

/** @throws TF-CHAOS-001, TF-CLI-003 */
function chosenExperiments({ arguments: args, options }: CommandInput): readonly Experiment[] {
  const ids = Array.isArray(args.id) ? args.id.map(String) : [];
  if (options.all === true) return experiments;
  if (ids.length === 0) {
    throw new TrollfixError('TF-CLI-003', 'which experiments?', {
      hint: 'name some, or pass `--all`; `trollfix chaos list` shows them',
    });
  }
  return ids.map((id) => {
    const found = experiments.find((experiment) => experiment.id === id);
    if (found) return found;
    const near = nearest(
      id,
      experiments.map((experiment) => experiment.id),
    );
    throw new TrollfixError('TF-CHAOS-001', `no experiment "${id}"`, {
      hint: near ? `did you mean \`trollfix chaos run ${near}\`?` : '`trollfix chaos list` shows them',
    });
  });
}

function experimentTable(rows: readonly Experiment[], columns: number): string {
  // four columns with their borders; the words get what is left of the line
  const width = Math.max(18, Math.floor((Math.min(columns, 160) - 22 - 13) / 3));
  const table = new Table({
    head: ['id', 'does', 'expects', 'touches'],
    colWidths: [22, width, width, width],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { id, does, expected, touches } of rows) table.push([id, does, expected, touches]);
  return `${table.toString()}\n`;
}
