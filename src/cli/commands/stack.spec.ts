import type { CommandSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

const statusSchema = async () => (await import('../outputs/status.ts')).dataSchema;

const up: CommandSpec = {
  path: ['up'],
  summary:
    'start the embedded stack: Postgres, Supabase-compatible gateway, LiveKit, HLS origin, settler, guard',
  description:
    'Everything listens on 127.0.0.1, on ports chosen at start; state, data and logs stand in .trollfix/ of the ' +
    'project. Stays in the foreground until Ctrl-C, or with --detach until `trollfix down`. Without livekit-server ' +
    'and without Go to build it, everything but LiveKit works.',
  examples: [
    { line: 'trollfix up --detach', does: 'start it, print what it serves, give the shell back' },
    { line: 'trollfix up --plan free', does: "with the Free plan's Realtime quotas; Ctrl-C stops it" },
    { line: 'trollfix up --detach --json', does: 'the same as `trollfix status --json`, once it is up' },
  ],
  options: [
    { flags: '-d, --detach', description: 'run it in the background; return when it is ready' },
    {
      flags: '--plan <plan>',
      description: "count and refuse as a hosted plan's Realtime quotas do (default: no quotas)",
      choices: ['free', 'pro', 'team'],
    },
    { flags: '--no-livekit', description: 'without LiveKit' },
    { flags: '--fresh', description: 'forget the data and keys of earlier starts' },
  ],
  kind: 'status',
  dataSchema: statusSchema,
  load: async () => (await import('./stack-up.ts')).runUp,
};

const down: CommandSpec = {
  path: ['down'],
  summary: 'stop the embedded stack; nothing keeps running or listening',
  description:
    'Works in any state: up, half-started, or left behind by a process that was killed. Stopping what is not up is fine. ' +
    'The data stay for the next `up`.',
  examples: [{ line: 'trollfix down', does: 'stop it' }],
  kind: 'down',
  dataSchema: async () => (await import('../outputs/down.ts')).dataSchema,
  load: async () => (await import('./stack.ts')).runDown,
};

const status: CommandSpec = {
  path: ['status'],
  summary: 'what of the embedded stack runs, where, and with which keys',
  description:
    'Asks every service whether it answers. Exits 0 when all that was started is healthy, 3 when the stack or a part of ' +
    'it is not up.',
  examples: [
    { line: 'trollfix status', does: 'the services' },
    { line: 'trollfix status --env > .env.local', does: 'URLs and keys for an application' },
    { line: 'eval "$(trollfix status --env)"', does: 'the same for the shell' },
  ],
  options: [{ flags: '--env', description: 'print NAME=value lines, for a shell or an .env file' }],
  kind: 'status',
  dataSchema: statusSchema,
  load: async () => (await import('./stack.ts')).runStatus,
};

const logs: CommandSpec = {
  path: ['logs'],
  summary: 'what the services of the embedded stack wrote',
  examples: [
    { line: 'trollfix logs', does: 'the last lines of every service' },
    { line: 'trollfix logs gateway --follow', does: 'those of one, and what comes, until Ctrl-C' },
  ],
  arguments: [
    {
      name: 'service',
      description: 'postgres, gateway, livekit, hls, settler, guard or supervisor (default: all)',
      required: false,
    },
  ],
  options: [
    { flags: '-f, --follow', description: 'go on with what comes, until Ctrl-C' },
    {
      flags: '-n, --lines <n>',
      description: 'how many of the last lines of each (default: 20)',
      parse: parseCount(0),
    },
  ],
  kind: 'logs',
  dataSchema: async () => (await import('../outputs/logs.ts')).dataSchema,
  load: async () => (await import('./stack-logs.ts')).runLogs,
};

export const stackSpecs: readonly CommandSpec[] = [up, down, status, logs];
