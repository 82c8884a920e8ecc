import type { ArgumentSpec, CommandSpec, OptionSpec } from '../command.ts';

const runArgument: ArgumentSpec = {
  name: 'run',
  description: 'a run id, the start of one, a folder or a run.json; none means the latest',
  required: false,
};

const reportsDir: OptionSpec = {
  flags: '--reports-dir <dir>',
  description: 'where the runs are (default: reports in the project)',
};

export const reportBuildSpec: CommandSpec = {
  path: ['report', 'build'],
  summary: 'write the reports of a run again from its run.json',
  examples: [
    { line: 'trollfix report build', does: 'the latest run' },
    { line: 'trollfix report build 2026-11-24T00-30-12Z-7f3a', does: 'one run' },
  ],
  arguments: [runArgument],
  options: [reportsDir],
  kind: 'report-build',
  dataSchema: async () => (await import('../outputs/report-build.ts')).dataSchema,
  load: async () => (await import('./report.ts')).runReportBuild,
};

export const reportShowSpec: CommandSpec = {
  path: ['report', 'show'],
  summary: 'a run in the terminal: verdicts, limits, crash matrix, next steps',
  examples: [
    { line: 'trollfix report show', does: 'the latest run' },
    { line: 'trollfix report show --json | jq .data.measurements', does: 'its record, for scripts' },
  ],
  arguments: [runArgument],
  options: [reportsDir],
  kind: 'report-show',
  dataSchema: async () => (await import('../outputs/report-show.ts')).dataSchema,
  load: async () => (await import('./report.ts')).runReportShow,
};
