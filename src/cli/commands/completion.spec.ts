import type { CommandSpec } from '../command.ts';

export const completionSpec: CommandSpec = {
  path: ['completion'],
  summary: 'a completion script for your shell',
  description:
    'Prints a script that completes commands, flags and their choices. It is made from the same list as the help.',
  examples: [
    { line: 'source <(trollfix completion bash)', does: 'in this bash' },
    { line: 'trollfix completion zsh > ~/.zfunc/_trollfix', does: 'in every new zsh with ~/.zfunc in fpath' },
    {
      line: 'trollfix completion fish > ~/.config/fish/completions/trollfix.fish',
      does: 'in every new fish',
    },
  ],
  arguments: [
    { name: 'shell', description: 'bash, zsh or fish', required: true, choices: ['bash', 'zsh', 'fish'] },
  ],
  kind: 'completion',
  dataSchema: async () => (await import('../outputs/completion.ts')).dataSchema,
  load: async () => (await import('./completion.ts')).runCompletion,
};
