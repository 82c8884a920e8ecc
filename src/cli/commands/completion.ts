import type { CommandRun } from '../command.ts';
import { bashCompletion } from '../completion/bash.ts';
import { completionTable } from '../completion/completion-table.ts';
import { fishCompletion } from '../completion/fish.ts';
import { zshCompletion } from '../completion/zsh.ts';

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

export const runCompletion: CommandRun = async (context, { arguments: args }) => {
  // the parser has checked it against the choices of the spec
  const shell = args.shell as keyof typeof shells;
  const script = shells[shell](completionTable(context.catalogue));
  return { data: { shell, script }, text: () => script, printsSecrets: true };
};
