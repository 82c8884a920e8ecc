import { formatDuration } from '../../kernel/duration.ts';
import { type DrainProgress, type DrainResult, drainGifts, giftBacklog } from '../../ops/gifts.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { withDatabase } from '../target-database.ts';
import { count, number, rate } from './gift-words.ts';

export async function runGiftDrain(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const forMs = numberOption(input, 'for');
  return withDatabase(context, 'gift drain', async (database) => {
    const { health } = await giftBacklog(database, { runs: 1 });
    context.progress({ kind: 'step', text: `draining ${count(health.backlog, 'gift')}` });
    const result = await drainGifts(database, {
      ...(forMs === undefined ? {} : { budgetMs: forMs }),
      signal: context.signal,
      onRound: (progress) => {
        context.event('round', { ...progress });
        context.progress({ kind: 'step', text: progressText(progress, health.backlog) });
      },
    });
    context.progress({ kind: 'done', text: `drained ${count(result.claimed, 'gift')}` });
    return { data: result, text: () => resultText(result) };
  });
}

const barWidth = 24;

function progressText({ claimed, backlog, perS }: DrainProgress, atStart: number): string {
  // what came in meanwhile is drained too, so the whole may be more than it was at the start
  const whole = Math.max(atStart, claimed + backlog, 1);
  const filled = Math.round((claimed / whole) * barWidth);
  const left = backlog > 0 && perS > 0 ? `, ${formatDuration(Math.round((backlog * 1000) / perS))} left` : '';
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${number(claimed)} of ${number(whole)}, ${rate(perS)}${left}`;
}

function resultText(result: DrainResult): string {
  const left = result.backlog === 0 ? 'nothing is pending' : `${number(result.backlog)} still pending`;
  const why = {
    empty: '',
    time: ' (time is over)',
    interrupted: ' (interrupted after a whole round; every round that was done is committed)',
    'taken over': ' (another drainer goes on)',
  }[result.stoppedBy];
  return (
    `settled ${number(result.settled)}, failed ${number(result.failed)} of ${count(result.claimed, 'gift')}, ` +
    `${count(result.coinsMoved, 'coin')} moved\n` +
    `${count(result.rounds, 'round')} in ${formatDuration(Math.round(result.elapsedMs))}, ${rate(result.perS)}; ${left}${why}\n`
  );
}
