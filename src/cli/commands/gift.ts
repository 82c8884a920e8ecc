import { formatDuration } from '../../kernel/duration.ts';
import {
  type DrainProgress,
  drainGifts,
  type GiftBacklog,
  type GiftHealth,
  giftBacklog,
} from '../../ops/gifts.ts';
import type { CommandContext, CommandInput, CommandResult, Style } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { sparkline } from '../output/sparkline.ts';
import { renderTable } from '../output/table.ts';
import { withDatabase } from '../target-database.ts';

export async function runGiftBacklog(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const runs = Number(input.options.runs);
  return withDatabase(context, 'gift backlog', async (database) => {
    const backlog = await giftBacklog(database, { runs });
    return { data: backlog, text: () => backlogText(context, backlog) };
  });
}

export async function runGiftDrain(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const forMs = numberOption(input, 'for');
  return withDatabase(context, 'gift drain', async (database) => {
    const { health } = await giftBacklog(database, { runs: 1 });
    context.progress({ kind: 'step', text: `draining ${number(health.backlog)} gifts` });
    const result = await drainGifts(database, {
      ...(forMs === undefined ? {} : { budgetMs: forMs }),
      signal: context.signal,
      onRound: (progress) => {
        context.event('round', { ...progress });
        context.progress({ kind: 'step', text: progressText(progress, health.backlog) });
      },
    });
    context.progress({ kind: 'done', text: `drained ${number(result.claimed)} gifts` });
    const left = result.backlog === 0 ? 'nothing is pending' : `${number(result.backlog)} still pending`;
    const why = {
      empty: '',
      time: ' (time is over)',
      interrupted: ' (interrupted)',
      'taken over': ' (another drainer goes on)',
    };
    return {
      data: result,
      text: () =>
        `settled ${number(result.settled)}, failed ${number(result.failed)} of ${number(result.claimed)} gifts, ` +
        `${number(result.coinsMoved)} coins moved\n` +
        `${result.rounds} rounds in ${formatDuration(Math.round(result.elapsedMs))}, ${number(result.perS)} gifts/s; ` +
        `${left}${why[result.stoppedBy]}\n`,
    };
  });
}

function progressText({ claimed, backlog, perS }: DrainProgress, atStart: number): string {
  // what came in meanwhile is drained too, so the whole may be more than it was at the start
  const whole = Math.max(atStart, claimed + backlog, 1);
  const width = 24;
  const filled = Math.round((claimed / whole) * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${number(claimed)} of ${number(whole)}, ${number(perS)} gifts/s`;
}

function whyOf(health: GiftHealth): string {
  switch (health.verdict) {
    case 'ok':
      return 'nothing is wrong';
    case 'stalled':
      return health.sinceLastFinishS === null
        ? 'no run has ever finished'
        : `no run finished for ${health.sinceLastFinishS.toFixed(0)} s`;
    case 'failing':
      return health.lastError ?? `${health.runsWithoutEnd} runs began and died`;
    case 'diverging':
      return `${rate(health.ingestPerS)} come in, ${rate(health.capacityPerS)} can be settled`;
    case 'late':
      return `the oldest gift waits for ${(health.oldestPendingS ?? 0).toFixed(0)} s`;
  }
}

function backlogText({ terminal }: CommandContext, { health, runs }: GiftBacklog): string {
  const { style } = terminal;
  const facts = [
    ['verdict', `${verdictLabel(style, health)}${health.verdict === 'ok' ? '' : `: ${whyOf(health)}`}`],
    [
      'backlog',
      `${number(health.backlog)} gifts${health.oldestPendingS === null ? '' : `, oldest ${health.oldestPendingS.toFixed(1)} s`}`,
    ],
    ['coming in', rate(health.ingestPerS)],
    ['capacity', rate(health.capacityPerS)],
    ['drained in', forecast(health)],
    ['last run', health.sinceLastFinishS === null ? 'never' : `${health.sinceLastFinishS.toFixed(0)} s ago`],
  ];
  const parts = [alignColumns(facts, { gap: 3 }).join('\n')];
  // one bar alone shows nothing
  if (runs.length > 1) {
    const chart = sparkline(runs.map(({ backlog }) => backlog ?? 0).reverse());
    parts.push(`backlog after the last ${runs.length} runs  ${chart}`);
  }
  if (runs.length > 0) {
    const rows = runs.map((run) => [
      run.startedAt.slice(11, 19),
      run.source,
      number(run.claimed),
      number(run.settled),
      number(run.failed),
      run.backlog === null ? '-' : number(run.backlog),
      run.drainPerS === null ? '-' : number(run.drainPerS),
      run.error ?? run.stopReason ?? (run.finishedAt === null ? 'not finished' : '-'),
    ]);
    const head = ['START', 'BY', 'CLAIMED', 'SETTLED', 'FAILED', 'BACKLOG', 'GIFTS/S', 'STOPPED BY'];
    const right = 'right' as const;
    parts.push(renderTable(head, rows, ['left', 'left', right, right, right, right, right, 'left']));
  }
  return `${parts.join('\n\n')}\n`;
}

function verdictLabel(style: Style, { verdict }: GiftHealth): string {
  if (verdict === 'ok') return style.green(verdict);
  return verdict === 'late' ? style.yellow(verdict) : style.red(verdict);
}

function forecast({ backlog, secondsToDrain, ingestPerS, capacityPerS }: GiftHealth): string {
  if (backlog === 0) return 'nothing to drain';
  if (secondsToDrain !== null) return formatDuration(Math.max(1, Math.round(secondsToDrain * 1000)));
  if (capacityPerS === null) return 'unknown: no large run within the last hour';
  return `never: ${rate(ingestPerS)} come in`;
}

function rate(perS: number | null): string {
  return perS === null ? 'unknown' : `${number(perS)} gifts/s`;
}

function number(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}
