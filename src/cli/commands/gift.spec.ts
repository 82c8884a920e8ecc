import { parseDurationMs } from '../../kernel/duration.ts';
import type { ArgumentSpec, CommandSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

/** More than a day of them is no table any more. */
const mostRuns = 10_000;
/** More rows than anybody reads of one check. */
const mostRows = 1000;

const giftArgument: ArgumentSpec = {
  name: 'gift',
  description: 'the gift id that its sender made, or its seq in the ledger',
  required: true,
};

const backlogSpec: CommandSpec = {
  path: ['gift', 'backlog'],
  summary: 'how settlement is doing: verdict, backlog, rates, forecast, the last runs',
  description:
    'Verdicts: ok; late (a gift waits for more than 30 s); failing (the last run failed or died); diverging (more ' +
    'comes in than can be settled); stalled (no run finished for 35 s). `trollfix doctor` fails on them.',
  examples: [
    { line: 'trollfix gift backlog', does: 'verdict, forecast, and charts over the last runs' },
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
  load: async () => (await import('./gift-backlog.ts')).runGiftBacklog,
};

const drainSpec: CommandSpec = {
  path: ['gift', 'drain'],
  summary: 'settle what is pending, now',
  description:
    'Takes rounds until the queue is empty, each committed on its own; Ctrl-C ends it after the round in progress. ' +
    'Refused when another session is settling, and says which.',
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
  load: async () => (await import('./gift-drain.ts')).runGiftDrain,
};

const inspectSpec: CommandSpec = {
  path: ['gift', 'inspect'],
  summary: 'the whole story of one gift: intake, queue, decision, reversal, entries, wallets now',
  examples: [
    { line: 'trollfix gift inspect 7c9e6679-7425-40de-944b-e07fc1f90ae7', does: 'by its gift id' },
    { line: 'trollfix gift inspect 12345 --json', does: 'by its seq in the ledger, for scripts' },
  ],
  arguments: [giftArgument],
  kind: 'gift-inspect',
  dataSchema: async () => (await import('../outputs/gift-inspect.ts')).dataSchema,
  load: async () => (await import('./gift-inspect.ts')).runGiftInspect,
};

const reverseSpec: CommandSpec = {
  path: ['gift', 'reverse'],
  summary: 'take a settled gift back, by a new row: ledger and settlement stay as they are',
  description:
    'The sender gets the whole amount: from the receiver what they got, from the platform its fee. Refused when the ' +
    'receiver has less than that, and for gifts that are pending or failed. Once per gift: asked again, it tells of ' +
    'the first time and does nothing. Totals and leaderboards fall by the gift.',
  examples: [
    {
      line: 'trollfix gift reverse 7c9e6679-7425-40de-944b-e07fc1f90ae7 --reason "sent twice" --dry-run',
      does: 'shows who would pay whom',
    },
    {
      line: 'trollfix gift reverse 7c9e6679-7425-40de-944b-e07fc1f90ae7 --reason "sent twice"',
      does: 'after asking',
    },
  ],
  arguments: [giftArgument],
  options: [
    { flags: '--reason <text>', description: 'why, for the audit trail', required: true },
    { flags: '--actor <name>', description: 'who does it, for the audit trail (default: your login name)' },
    { flags: '--dry-run', description: 'show what would be done, and do nothing' },
  ],
  kind: 'gift-reverse',
  dataSchema: async () => (await import('../outputs/gift-reverse.ts')).dataSchema,
  load: async () => (await import('./gift-reverse.ts')).runGiftReverse,
};

const auditSpec: CommandSpec = {
  path: ['gift', 'audit'],
  summary:
    'add the gift ledger up: money, exactly-once, orphans, reversals, leaderboard; exits 96 when it is off',
  description:
    'Reads in one snapshot and locks nothing, so it may run against a live system: it sees no round half done and ' +
    'holds nobody up. Names the offending rows of each check that does not hold.',
  examples: [
    { line: 'trollfix gift audit', does: 'of the whole ledger' },
    {
      line: 'trollfix gift audit --run 20260101-120000-drill --json',
      does: 'of one synthetic run, for scripts',
    },
    { line: 'trollfix gift audit --within 5m', does: 'of a ledger of many millions' },
  ],
  options: [
    { flags: '--run <id>', description: 'only what this synthetic run wrote (default: everything)' },
    {
      flags: '--rows <n>',
      description: 'offending rows to name of each check (default: 20)',
      parse: parseCount(1, mostRows),
    },
    {
      flags: '--within <dur>',
      description: 'how long it may hold its snapshot (default: 1m)',
      parse: parseDurationMs,
    },
  ],
  kind: 'gift-audit',
  dataSchema: async () => (await import('../outputs/gift-audit.ts')).dataSchema,
  load: async () => (await import('./gift-audit.ts')).runGiftAudit,
};

export const giftSpecs: readonly CommandSpec[] = [
  backlogSpec,
  drainSpec,
  inspectSpec,
  reverseSpec,
  auditSpec,
];
