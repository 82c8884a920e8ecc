import { parseDurationMs } from '../../kernel/duration.ts';
import type { ArgumentSpec, CommandSpec, OptionSpec } from '../command.ts';

export const userArgument: ArgumentSpec = {
  name: 'user',
  description: 'a user id, or the username of a profile',
  required: true,
};

export const streamOption: OptionSpec = {
  flags: '--stream <id>',
  description: 'the stream',
  required: true,
};
const dryRunOption: OptionSpec = {
  flags: '--dry-run',
  description: 'show what would be done, and do nothing',
};
const reasonOption: OptionSpec = { flags: '--reason <text>', description: 'why, for the audit trail' };

export const seatListSpec: CommandSpec = {
  path: ['seat', 'list'],
  summary: 'seats and bans, with state, expiry and who is in the room now',
  examples: [
    { line: 'trollfix seat list', does: 'every seat and ban of the target' },
    { line: 'trollfix seat list --stream 5f0c… --json', does: 'those of one stream, for scripts' },
  ],
  options: [
    { flags: '--stream <id>', description: 'only this stream' },
    { flags: '--user <user>', description: 'only this user (id or username)' },
  ],
  kind: 'seat-list',
  dataSchema: async () => (await import('../outputs/seat-list.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatList,
};

export const seatGrantSpec: CommandSpec = {
  path: ['seat', 'grant'],
  summary: 'give a user a seat on a stream',
  examples: [
    { line: 'trollfix seat grant ada --stream 5f0c…', does: 'a speaker, until revoked' },
    { line: 'trollfix seat grant ada --stream 5f0c… --role host --for 2h', does: 'a host for two hours' },
  ],
  arguments: [userArgument],
  options: [
    streamOption,
    {
      flags: '--role <role>',
      description: 'what they are on stage',
      default: 'speaker',
      choices: ['host', 'speaker', 'guest'],
    },
    { flags: '--listen-only', description: 'on stage, but not allowed to publish' },
    {
      flags: '--for <dur>',
      description: 'until when the seat lasts (default: no end)',
      parse: parseDurationMs,
    },
    reasonOption,
    dryRunOption,
  ],
  kind: 'seat-grant',
  dataSchema: async () => (await import('../outputs/seat-grant.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatGrant,
};

export const seatRevokeSpec: CommandSpec = {
  path: ['seat', 'revoke'],
  summary: 'ban a user from a stream and take them out of its room',
  description:
    'The ban is written first and holds whatever happens to LiveKit; then the user and every alias of theirs are ' +
    'removed from the room and the room is listed to make sure. With LiveKit down the ejection stays in the outbox. ' +
    'Viewers without a seat can be banned too.',
  examples: [
    { line: 'trollfix seat revoke ada --stream 5f0c… --reason spam', does: 'for good, after asking' },
    {
      line: 'trollfix seat revoke ada --stream 5f0c… --reason spam --for 10m --yes',
      does: 'for ten minutes',
    },
    {
      line: 'trollfix seat revoke ada --stream 5f0c… --reason spam --dry-run',
      does: 'shows who it would hit',
    },
  ],
  arguments: [userArgument],
  options: [
    streamOption,
    { ...reasonOption, description: 'why, for the audit trail and the user', required: true },
    {
      flags: '--for <dur>',
      description: 'how long the ban lasts (default: for good)',
      parse: parseDurationMs,
    },
    dryRunOption,
  ],
  kind: 'seat-revoke',
  dataSchema: async () => (await import('../outputs/seat-revoke.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatRevoke,
};

export const seatRestoreSpec: CommandSpec = {
  path: ['seat', 'restore'],
  summary: 'lift the ban of a user; a revoked seat that has not run out is active again',
  examples: [{ line: 'trollfix seat restore ada --stream 5f0c…', does: 'lets ada back in' }],
  arguments: [userArgument],
  options: [streamOption, reasonOption, dryRunOption],
  kind: 'seat-restore',
  dataSchema: async () => (await import('../outputs/seat-restore.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatRestore,
};

export const seatSpecs: readonly CommandSpec[] = [
  seatListSpec,
  seatGrantSpec,
  seatRevokeSpec,
  seatRestoreSpec,
];
