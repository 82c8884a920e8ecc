import { type GiftBacklog, type GiftHealth, giftBacklog, settlingInWords } from '../../ops/gifts.ts';
import type { CommandContext, CommandInput, CommandResult, Style } from '../command.ts';
import { alignColumns } from '../output/columns.ts';
import { sparkline } from '../output/sparkline.ts';
import { renderTable } from '../output/table.ts';
import { withDatabase } from '../target-database.ts';
import { forecastInWords, number, rate, verdictInWords } from './gift-words.ts';

/** Bars of a chart: more would wrap on a terminal of 80 columns. */
const chartWidth = 60;

export async function runGiftBacklog(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const runs = Number(input.options.runs);
  return withDatabase(context, 'gift backlog', async (database) => {
    const backlog = await giftBacklog(database, { runs });
    const { health } = backlog;
    const words = { verdict: verdictInWords(health), forecast: forecastInWords(health) };
    return { data: { ...backlog, words }, text: () => backlogText(context, backlog, words) };
  });
}

function backlogText(
  { terminal }: CommandContext,
  { health, runs, settling }: GiftBacklog,
  words: { verdict: string; forecast: string },
): string {
  const { style } = terminal;
  const oldest = health.oldestPendingS === null ? '' : `, oldest ${health.oldestPendingS.toFixed(1)} s`;
  const since = health.sinceLastFinishS;
  const facts = [
    ['verdict', `${verdictLabel(style, health)}: ${words.verdict}`],
    ['backlog', `${number(health.backlog)} gifts${oldest}`],
    ['coming in', rate(health.ingestPerS)],
    ['capacity', `${rate(health.capacityPerS)} of work${paceInWords(health)}`],
    ['drained in', words.forecast],
    ['last run', since === null ? 'never' : `finished ${since.toFixed(0)} s ago`],
    ...(settling === null ? [] : [['settling now', settlingInWords(settling)]]),
  ];
  const parts = [alignColumns(facts, { gap: 3 }).join('\n')];
  const shown = runs.slice(0, chartWidth);
  // one bar alone shows nothing
  if (shown.length > 1) {
    const chart = (title: string, of: (run: (typeof runs)[number]) => number | null) => {
      const values = shown.map((run) => of(run) ?? 0).reverse();
      return [title, sparkline(values), `at most ${number(Math.max(...values))}`];
    };
    const charts = [
      chart('backlog after it', ({ backlog }) => backlog),
      chart('gifts taken out', ({ claimed }) => claimed),
      chart('drained per s', ({ drainPerS }) => drainPerS),
    ];
    parts.push(
      [`the last ${shown.length} runs, oldest first`, ...alignColumns(charts, { indent: 2 })].join('\n'),
    );
  }
  if (runs.length > 0) parts.push(runsTable(runs));
  return `${parts.join('\n\n')}\n`;
}

/** Where the schedule makes less of it than that. */
function paceInWords({ capacityPerS, sustainedPerS }: GiftHealth): string {
  if (sustainedPerS === null || capacityPerS === null || sustainedPerS >= capacityPerS) return '';
  return `, ${rate(sustainedPerS)} by the schedule`;
}

function runsTable(runs: GiftBacklog['runs']): string {
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
  return renderTable(head, rows, ['left', 'left', right, right, right, right, right, 'left']);
}

function verdictLabel(style: Style, { verdict }: GiftHealth): string {
  if (verdict === 'ok') return style.green(verdict);
  return verdict === 'late' ? style.yellow(verdict) : style.red(verdict);
}
