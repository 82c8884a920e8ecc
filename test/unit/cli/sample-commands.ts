import { z } from 'zod';
import type { CommandContext, CommandInput, CommandResult, CommandSpec } from '../../../src/cli/command.ts';
import { parseDurationMs } from '../../../src/kernel/duration.ts';

type Run = (context: CommandContext, input: CommandInput) => Promise<CommandResult>;

/** Commands of a small program, with one that does what a test gives it. */
export function sampleCommands(run: Run = echo): CommandSpec[] {
  const spec = (path: CommandSpec['path'], more: Partial<CommandSpec> = {}): CommandSpec => ({
    path,
    summary: `does ${path.join(' ')}`,
    examples: [{ line: `trollfix ${path.join(' ')} one`, does: 'an example' }],
    kind: path.join('-'),
    dataSchema: async () => z.unknown(),
    load: async () => run,
    ...more,
  });
  return [
    spec(['status']),
    spec(['load', 'chat'], {
      options: [
        { flags: '--duration <dur>', description: 'how long', parse: parseDurationMs, default: '10s' },
        { flags: '--rate <n/s>', description: 'how fast' },
        { flags: '--threshold <expr>', description: 'must hold', repeatable: true },
        { flags: '--model <name>', description: 'arrivals', choices: ['constant', 'ramp'] },
        { flags: '--no-cleanup', description: 'leave the rows' },
      ],
    }),
    spec(['seat', 'revoke'], {
      arguments: [
        { name: 'stream', description: 'which stream', required: true },
        { name: 'users', description: 'who', required: true, variadic: true },
      ],
    }),
    spec(['completion'], {
      arguments: [{ name: 'shell', description: 'which', required: true, choices: ['bash', 'zsh'] }],
    }),
  ];
}

async function echo(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return { data: { globals: context.globals, ...input }, text: () => `${JSON.stringify(input)}\n` };
}
