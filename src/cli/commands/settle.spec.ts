import { parseDurationMs } from '../../kernel/duration.ts';
import type { CommandSpec } from '../command.ts';

export const settleSpec: CommandSpec = {
  path: ['settle'],
  summary: 'settle pending gifts: once, or with --watch as the worker of a database without pg_cron',
  description:
    'With --watch it drains every 10 s, never overlaps itself, makes up for at most one missed run, dials a lost ' +
    'connection again, and on SIGTERM finishes the run it is in. Several may run: one settles, the others pass.',
  examples: [
    { line: 'trollfix settle', does: 'one drain, then it ends' },
    { line: 'trollfix settle --watch', does: 'until Ctrl-C or SIGTERM' },
    { line: 'trollfix settle --watch --every 5s', does: 'twice as often' },
  ],
  options: [
    { flags: '-w, --watch', description: 'keep settling' },
    { flags: '--every <dur>', description: 'from start to start (default: 10s)', parse: parseDurationMs },
    {
      flags: '--budget <dur>',
      description: 'how long one drain may take rounds (default: 8s)',
      parse: parseDurationMs,
    },
  ],
  kind: 'settle',
  dataSchema: async () => (await import('../outputs/settle.ts')).dataSchema,
  load: async () => (await import('./settle.ts')).runSettle,
};
