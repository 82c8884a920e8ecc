import path from 'node:path';
import { markdownReport } from '../../report/markdown.ts';
import { terminalReport } from '../../report/terminal.ts';
import { writeFileAtomic } from '../atomic-write.ts';
import type { CommandContext, CommandInput, CommandRun } from '../command.ts';
import { textOption } from '../input-values.ts';
import { fileSha256 } from '../run-folder.ts';
import { readRun, type StoredRun } from '../run-store.ts';

export const runReportShow: CommandRun = async (context, input) => {
  const { record } = storedRun(context, input);
  const { columns, style } = context.terminal;
  return {
    data: record,
    text: () => terminalReport(record, { columns, paint: style }),
    jobSummary: () => markdownReport(record),
  };
};

export const runReportBuild: CommandRun = async (context, input) => {
  const { record, folder } = storedRun(context, input);
  const file = path.join(folder, 'report.md');
  await writeFileAtomic(file, context.redact(markdownReport(record)));
  const written = [{ path: 'report.md', kind: 'report', sha256: await fileSha256(file) }];
  return {
    data: { runId: record.runId, folder, written },
    text: () => `${path.relative(context.cwd, file) || file}\n`,
    jobSummary: () => markdownReport(record),
  };
};

function storedRun({ cwd, projectDir }: CommandContext, input: CommandInput): StoredRun {
  const { run } = input.arguments;
  const dir = textOption(input, 'reportsDir');
  const reportsDir = dir === undefined ? path.join(projectDir, 'reports') : path.resolve(cwd, dir);
  return readRun(typeof run === 'string' ? run : undefined, { reportsDir, cwd });
}
