import type { CommandSpec } from '../command.ts';

export const helpExitCodesSpec: CommandSpec = {
  path: ['help', 'exit-codes'],
  summary: 'what each exit code means',
  examples: [{ line: 'trollfix help exit-codes', does: 'the table that scripts and CI can rely on' }],
  kind: 'exit-codes',
  dataSchema: async () => (await import('../outputs/exit-codes.ts')).dataSchema,
  load: async () => (await import('./help.ts')).runHelpExitCodes,
};
