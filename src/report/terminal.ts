import Table from 'cli-table3';
import { wrapWords } from '../kernel/text-width.ts';
import type { RunRecord } from '../record/run-record.ts';
import { bottleneckText, formatNumber, measuredValue, theoreticalLimit } from './figures.ts';
import { overallLine, statusLabel, summarize, summarySentences, verdictLabel } from './summary.ts';

/** How words are set off; plain text where colours are not wanted. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
}

export interface TerminalLook {
  readonly columns: number;
  readonly paint: Paint;
}

// Below this a table of four columns has room for a word or two a line: it is drawn this wide anyway.
const narrowest = 72;
// Longer lines are hard to read even where the terminal has them.
const widest = 160;

/** A run in the terminal: the sections of report.md that one acts on. A pure function of the record. */
export function terminalReport(record: RunRecord, look: TerminalLook): string {
  const { paint } = look;
  const summary = summarize(record);
  const blocks = [
    `${paint.bold(`trollfix ${record.command}`)}  ${overallLine[summary.overall]}  ${paint.dim(record.runId)}`,
    summarySentences(record, summary).slice(1).map(plain).join('\n'),
    ...section('Implementation status', statusTable(record, look), look),
    ...section('Measured limits', limitsTable(record, look), look),
    ...section('Thresholds', thresholdsTable(record, look), look),
    ...section('Crash matrix', matrixTable(record, look), look),
    ...section('Next steps', steps(record, look), look),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

function section(title: string, body: string, { paint }: TerminalLook): string[] {
  return body === '' ? [] : [`${paint.bold(title)}\n${body}`];
}

function statusTable(record: RunRecord, look: TerminalLook): string {
  const rows = record.status.map((row) => [
    row.priority,
    row.feature,
    statusLabel[row.status],
    row.evidence.join('; ') || row.method,
  ]);
  return draw(['', 'Feature', 'Status', 'Evidence'], rows, [4, 20, 14], look);
}

function limitsTable(record: RunRecord, look: TerminalLook): string {
  const share = Math.floor((tableWidth(look) - 20) / 3);
  const rows = record.measurements.map((m) => [
    m.title,
    measuredValue(m, (text) => text),
    theoreticalLimit(m),
    bottleneckText(m),
  ]);
  return draw(['Metric', 'Measured', 'Theoretical', 'Bottleneck'], rows, [20, share + 4, share - 6], look);
}

function thresholdsTable(record: RunRecord, look: TerminalLook): string {
  const rows = record.measurements.flatMap((m) =>
    m.thresholds.map(({ metric, expr, observed, samples, ok, reason }) => [
      `${metric}: ${expr}`,
      observed === null ? (reason ?? 'no data') : formatNumber(observed),
      formatNumber(samples),
      ok ? '✅ holds' : '❌ failed',
    ]),
  );
  return draw(['Threshold', 'Observed', 'Samples', 'Verdict'], rows, [40, 14, 12], look);
}

function matrixTable(record: RunRecord, look: TerminalLook): string {
  const rows = record.matrix.map((row) => [
    row.scenario,
    verdictLabel[row.verdict],
    row.verdict === 'not_run' ? (row.reason ?? '') : [row.observed, row.reason].filter(Boolean).join(' '),
  ]);
  return draw(['Scenario', 'Verdict', 'Observed'], rows, [26, 13], look);
}

function steps(record: RunRecord, look: TerminalLook): string {
  const lines = (text: string) => wrapWords(plain(text), tableWidth(look) - 5);
  return record.nextSteps
    .flatMap(({ text, because }, i) => [
      ...lines(text).map((line, n) => `${n === 0 ? `${i + 1}.`.padStart(4) : '    '} ${line}`),
      ...lines(because).map((line) => `     ${look.paint.dim(line)}`),
    ])
    .join('\n');
}

function tableWidth({ columns }: TerminalLook): number {
  return Math.min(widest, Math.max(narrowest, columns));
}

/** A table as wide as the terminal: the first columns have their widths, the last takes the rest. */
function draw(
  head: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  widths: readonly number[],
  look: TerminalLook,
): string {
  if (rows.length === 0) return '';
  const borders = head.length + 1;
  const rest = tableWidth(look) - borders - widths.reduce((sum, width) => sum + width, 0);
  const table = new Table({
    head: [...head],
    colWidths: [...widths, Math.max(20, rest)],
    wordWrap: true,
    // its default paints heads red and borders grey whether colours are wanted or not
    style: { head: [], border: [] },
  });
  for (const row of rows) table.push(row.map(plain));
  return table.toString();
}

/** Text of the record on a screen: no control characters, which could move the cursor or worse. */
function plain(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
