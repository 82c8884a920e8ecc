import { parseRatePerSecond } from '../../kernel/duration.ts';
import type { CommandSpec } from '../command.ts';
import { parseCount } from '../load-options.ts';

export const initSpec: CommandSpec = {
  path: ['init'],
  summary: 'write trollfix.yaml for a target, and check it',
  description:
    'Asks for the target at a terminal; with flags it asks nothing. Secrets never come from a flag: the file names the ' +
    'environment variables they stand in, and they are read from there at every run.',
  examples: [
    { line: 'trollfix init', does: 'the wizard' },
    { line: 'trollfix init --name staging --url https://abcd.supabase.co', does: 'asks nothing' },
    {
      line: 'trollfix init --name staging --url https://abcd.supabase.co --livekit-url wss://x.livekit.cloud --max-rate 50/s --max-users 200',
      does: 'with LiveKit, and limits that allow load',
    },
  ],
  options: [
    { flags: '--name <target>', description: 'name of the target (default: the first label of the host)' },
    { flags: '--url <url>', description: 'the Supabase URL of the project' },
    { flags: '--livekit-url <url>', description: 'the LiveKit server (wss://…)' },
    { flags: '--hls-url <url>', description: 'the live master playlist' },
    { flags: '--token-endpoint <url>', description: 'the LiveKit token endpoint' },
    {
      flags: '--max-rate <n/s>',
      description: 'most operations per second a run may offer to this target',
      parse: parseRatePerSecond,
    },
    {
      flags: '--max-users <n>',
      description: 'most synthetic users a run may make on this target',
      parse: parseCount(1),
    },
    { flags: '--allow-chaos', description: 'let chaos experiments run against this target' },
    { flags: '--file <path>', description: 'where to write (default: trollfix.yaml in the project)' },
  ],
  kind: 'init',
  dataSchema: async () => (await import('../outputs/init.ts')).dataSchema,
  load: async () => (await import('./init.ts')).runInit,
};
