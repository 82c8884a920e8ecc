import { stopStack } from '../../local/stack-reaper.ts';
import { readStackState } from '../../local/stack-state.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { envText, stackStatus, statusText, statusTrouble } from '../stack-status.ts';

export async function runStatus(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const status = await stackStatus(context.stateDir, readStackState(context.stateDir));
  const trouble = statusTrouble(status);
  return {
    data: status,
    text: () => (input.options.env ? envText(status.env) : statusText(status, context.terminal.style)),
    printsSecrets: true,
    ...(trouble ? { failure: trouble } : {}),
  };
}

export async function runDown(context: CommandContext): Promise<CommandResult> {
  context.progress({ kind: 'step', text: 'stopping the embedded stack' });
  const result = await stopStack(context.stateDir);
  return {
    data: result,
    text: () => {
      if (!result.stopped) return 'the embedded stack is not up: nothing to stop\n';
      const what = result.services.length === 0 ? 'nothing was running' : result.services.join(', ');
      const whose = result.orphaned ? ', left behind by a process that is gone' : '';
      return `stopped${whose}: ${what}\n`;
    },
  };
}
