import { parseDurationMs } from '../../kernel/duration.ts';
import type { ArgumentSpec, CommandSpec, OptionSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

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
  summary: 'seats and bans, with state, expiry, who is in the room now and who was last',
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
    'removed from the room and the room is listed to make sure. With LiveKit down the ejection stays in the outbox, and ' +
    'it is said which guard will carry it out. Viewers without a seat can be banned too. A list on stdin is banned in ' +
    'one transaction, all or none; empty lines and those that begin with # are left out, and a line that names nobody ' +
    'refuses the whole list before anything is done.',
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
    {
      line: 'trollfix seat revoke - --stream 5f0c… --reason raid --yes < raiders.txt',
      does: 'everybody in the file, in one transaction',
    },
  ],
  arguments: [{ ...userArgument, description: 'a user id or username; `-` reads one per line from stdin' }],
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
  load: async () => (await import('./seat-revoke.ts')).runSeatRevoke,
};

export const seatExtendSpec: CommandSpec = {
  path: ['seat', 'extend'],
  summary: 'let a seat last longer',
  description:
    'Never shortens a seat and never revives one that is lost or over: grant it again for that. Whoever is in the room ' +
    'stays in it; nothing is sent to LiveKit.',
  examples: [
    { line: 'trollfix seat extend ada --stream 5f0c… --by 30m', does: 'half an hour more than it has' },
    { line: 'trollfix seat extend ada --stream 5f0c… --for 2h', does: 'until two hours from now' },
    { line: 'trollfix seat extend ada --stream 5f0c… --no-end', does: 'until revoked' },
  ],
  arguments: [userArgument],
  options: [
    streamOption,
    { flags: '--by <dur>', description: 'longer than its present end', parse: parseDurationMs },
    { flags: '--for <dur>', description: 'from now on', parse: parseDurationMs },
    { flags: '--no-end', description: 'until revoked' },
    reasonOption,
    dryRunOption,
  ],
  kind: 'seat-extend',
  dataSchema: async () => (await import('../outputs/seat-extend.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatExtend,
};

export const seatDowngradeSpec: CommandSpec = {
  path: ['seat', 'downgrade'],
  summary: 'take the right to publish from a seat; its holder stays as a listener',
  description:
    'The row is written first; then every session of the user in the room loses the right to publish, tracks that are ' +
    'published go silent, and the room is listed to make sure. The token they joined with still says otherwise: only a ' +
    'gate refuses it (`trollfix seat verify` shows whether yours does). To give the right back, grant the seat again.',
  examples: [
    { line: 'trollfix seat downgrade ada --stream 5f0c… --reason noise', does: 'asks, then silences ada' },
    { line: 'trollfix seat downgrade ada --stream 5f0c… --dry-run', does: 'shows who it would hit' },
  ],
  arguments: [userArgument],
  options: [streamOption, reasonOption, dryRunOption],
  kind: 'seat-downgrade',
  dataSchema: async () => (await import('../outputs/seat-downgrade.ts')).dataSchema,
  load: async () => (await import('./seat.ts')).runSeatDowngrade,
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

export const seatVerifySpec: CommandSpec = {
  path: ['seat', 'verify'],
  summary: 'try every known way back into a room after a seat is lost, and show which are shut',
  description:
    'Synthetic users are given seats, join, lose them by a ban, a downgrade or expiry, and try to come back: with the ' +
    'token they joined with, the one LiveKit signed for their session, one of an alias and a new one from the token ' +
    'endpoint, by every door, through the gate (livekit.gateUrl) and at LiveKit itself. CLOSED: refused, and not in ' +
    'the room by LiveKit’s own list. WINDOW: in, and removed after that time. OPEN: in to stay. Judged is the entry that ' +
    'clients are given: exit code 99 when a way is open there, 96 when a banned user stays in the room, 98 when a ' +
    'door gave no answer. Nothing is started that enforces bans: what holds is what the target runs. All that was ' +
    'written is removed at the end.',
  examples: [
    {
      line: 'trollfix seat verify',
      does: 'on a synthetic stream, with one try past the token’s end (two minutes)',
    },
    { line: 'trollfix seat verify --quick', does: 'without that: some ten seconds' },
    {
      line: 'trollfix seat verify --stream 5f0c… --quick --yes',
      does: 'in the room of a real stream, whose viewers may see the synthetic users come and go',
    },
  ],
  options: [
    { flags: '--stream <id>', description: 'a live stream (default: a synthetic one)' },
    {
      flags: '--quick',
      description: 'leave out the try past the end of the first token and LiveKit’s leeway',
    },
    {
      flags: '--victims <n>',
      description: 'users that try each way (default: 1; a door opens for all or for none)',
      parse: parseCount(1, 20),
    },
  ],
  kind: 'seat-verify',
  dataSchema: async () => (await import('../outputs/seat-verify.ts')).dataSchema,
  load: async () => (await import('./seat-verify.ts')).runSeatVerify,
};

export const seatSpecs: readonly CommandSpec[] = [
  seatListSpec,
  seatGrantSpec,
  seatExtendSpec,
  seatDowngradeSpec,
  seatRevokeSpec,
  seatRestoreSpec,
  seatVerifySpec,
];
