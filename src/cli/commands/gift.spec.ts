import { parseDurationMs } from '../../kernel/duration.ts';
import type { CommandSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

/** More than a day of them is no table any more. */
const mostRuns = 10_000;

const backlogSpec: CommandSpec = {
  path: ['gift', 'backlog'],
  summary: 'how settlement is doing: verdict, backlog, rates, forecast, the last runs',
  description:
    'Verdicts: ok; late (a gift waits for more than 30 s); failing (the last run failed or died); diverging (more ' +
    'comes in than can be settled); stalled (no run finished for 35 s). `trollfix doctor` fails on them.',
  examples: [
    { line: 'trollfix gift backlog', does: 'verdict, and a chart of the backlog over the last runs' },
    { line: 'trollfix gift backlog --json', does: 'for a monitor' },
  ],
  options: [
    {
      flags: '--runs <n>',
      description: 'how many runs to show',
      default: 20,
      parse: parseCount(1, mostRuns),
    },
  ],
  kind: 'gift-backlog',
  dataSchema: async () => (await import('../outputs/gift-backlog.ts')).dataSchema,
  load: async () => (await import('./gift.ts')).runGiftBacklog,
};

const drainSpec: CommandSpec = {
  path: ['gift', 'drain'],
  summary: 'settle what is pending, now',
  description:
    'Takes rounds until the queue is empty, each committed on its own; Ctrl-C ends it after the round in progress. ' +
    'Refused when another session is settling.',
  examples: [
    { line: 'trollfix gift drain', does: 'until the queue is empty' },
    { line: 'trollfix gift drain --for 30s', does: 'for at most half a minute' },
  ],
  options: [
    {
      flags: '--for <dur>',
      description: 'at most this long (default: until it is empty)',
      parse: parseDurationMs,
    },
  ],
  kind: 'gift-drain',
  dataSchema: async () => (await import('../outputs/gift-drain.ts')).dataSchema,
  load: async () => (await import('./gift.ts')).runGiftDrain,
};

export const giftSpecs: readonly CommandSpec[] = [backlogSpec, drainSpec];
