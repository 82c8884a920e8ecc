import { once } from 'node:events';
import { drainGifts } from '../../ops/gifts.ts';
import { createSettler } from '../../ops/settler.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { databaseUrlOf, withDatabase } from '../target-database.ts';

export async function runSettle(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const everyMs = numberOption(input, 'every');
  const budgetMs = numberOption(input, 'budget') ?? 8_000;
  return input.options.watch === true ? watch(context, everyMs, budgetMs) : drainOnce(context, budgetMs);
}

async function drainOnce(context: CommandContext, budgetMs: number): Promise<CommandResult> {
  return withDatabase(context, 'settle', async (database) => {
    const drained = await drainGifts(database, { budgetMs, source: 'settle', signal: context.signal });
    const { claimed, settled, failed, backlog } = drained;
    return {
      data: { runs: 1, claimed, settled, failed, backlog, disconnects: 0 },
      text: () => `settled ${settled}, failed ${failed}; ${backlog} pending\n`,
    };
  });
}

async function watch(
  context: CommandContext,
  everyMs: number | undefined,
  budgetMs: number,
): Promise<CommandResult> {
  const total = { runs: 0, claimed: 0, settled: 0, failed: 0, backlog: null as number | null };
  const settler = createSettler({
    databaseUrl: databaseUrlOf(await context.target()),
    ...(everyMs === undefined ? {} : { everyMs }),
    budgetMs,
    log: context.log,
    clock: context.clock,
    onRun: (run) => {
      total.runs++;
      total.claimed += run.claimed;
      total.settled += run.settled;
      total.failed += run.failed;
      total.backlog = run.backlog;
      context.event('run', { ...run });
      if (run.claimed > 0) {
        const took = `${run.durationMs.toFixed(0)} ms`;
        context.log.info(
          `settled ${run.settled}, failed ${run.failed} in ${took}; ${run.backlog ?? 0} pending`,
        );
      }
    },
  });
  settler.start();
  context.progress({ kind: 'note', text: 'settling; Ctrl-C ends it after the run in progress' });
  if (!context.signal.aborted) await once(context.signal, 'abort');
  await settler.stop();
  return {
    data: { ...total, disconnects: settler.status().disconnects },
    text: () =>
      `${total.runs} runs: settled ${total.settled}, failed ${total.failed}; ${total.backlog ?? 0} pending\n`,
  };
}
