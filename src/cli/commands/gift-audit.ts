import { TrollfixError } from '../../kernel/errors.ts';
import {
  type AuditFinding,
  auditGifts,
  type GiftAudit,
  rowInWords,
} from '../../target/postgres/gift-audit.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, textOption } from '../input-values.ts';
import { renderTable } from '../output/table.ts';
import { withDatabase } from '../target-database.ts';
import { count, number, seconds } from './gift-words.ts';

/** A check of a large ledger takes seconds; a line for each of those that are done at once is noise. */
const stepEveryMs = 1000;

export async function runGiftAudit(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const runId = textOption(input, 'run')?.trim();
  const rows = numberOption(input, 'rows');
  const withinMs = numberOption(input, 'within');
  return withDatabase(context, 'gift audit', async (database) => {
    let shownMs = context.clock.monotonicMs();
    context.progress({ kind: 'step', text: 'adding the gift ledger up' });
    const audit = await auditGifts(database, {
      ...(runId === undefined ? {} : { runId }),
      ...(rows === undefined ? {} : { rows }),
      ...(withinMs === undefined ? {} : { withinMs }),
      signal: context.signal,
      onCheck: ({ title, done, of }) => {
        if (context.clock.monotonicMs() - shownMs < stepEveryMs) return;
        shownMs = context.clock.monotonicMs();
        context.progress({ kind: 'step', text: `${done + 1} of ${of}: ${title}` });
      },
    });
    context.progress({ kind: 'done', text: `${audit.findings.length} checks in one snapshot` });
    return resultOf(context, audit);
  });
}

function resultOf(context: CommandContext, audit: GiftAudit): CommandResult {
  const broken = audit.findings.filter(({ violations }) => violations > 0);
  const [first] = broken;
  const result = { data: audit, text: () => auditText(context, audit, broken) };
  if (first === undefined) return result;
  const named = first.rows[0] === undefined ? '' : `: ${rowInWords(first.rows[0])}`;
  return {
    ...result,
    failure: new TrollfixError(
      'TF-GIFT-002',
      `${broken.length} of ${audit.findings.length} checks do not hold`,
      {
        why: `not so: ${first.title} (${count(first.violations, 'row')})${named}`,
        details: { checks: broken.map(({ check, violations }) => ({ check, violations })) },
      },
    ),
    annotations: broken.map(({ title, violations }) => `not so: ${title} (${count(violations, 'row')})`),
  };
}

function auditText({ terminal }: CommandContext, audit: GiftAudit, broken: readonly AuditFinding[]): string {
  const { style } = terminal;
  const { counts } = audit;
  const rows = audit.findings.map(({ title, checked, violations }) => [
    violations === 0 ? style.green('ok') : style.red('broken'),
    title,
    number(checked),
    number(violations),
  ]);
  const scope = audit.runId === null ? 'the whole ledger' : `run ${audit.runId}`;
  const parts = [
    `${scope}, as of ${audit.at}, in ${seconds(audit.elapsedMs / 1000)}\n` +
      `${count(counts.gifts, 'gift')}: ${number(counts.settled)} settled (${number(counts.reversed)} of them taken back), ` +
      `${number(counts.failed)} failed, ${number(counts.pending)} pending\n` +
      `${count(counts.coinsDeposited, 'coin')} came in: ${number(counts.coinsHeld)} in ${count(counts.wallets, 'wallet')}, ` +
      `${number(counts.coinsInFees)} in fees`,
    renderTable(['', 'WHAT MUST HOLD', 'LOOKED AT', 'BROKEN'], rows, ['left', 'left', 'right', 'right']),
    ...broken.map((finding) => offendersText(finding)),
  ];
  return `${parts.join('\n\n')}\n`;
}

function offendersText({ check, title, violations, rows }: AuditFinding): string {
  const more = violations > rows.length ? [`  … and ${number(violations - rows.length)} more`] : [];
  return [`${check}: not so: ${title}`, ...rows.map((row) => `  ${rowInWords(row)}`), ...more].join('\n');
}
