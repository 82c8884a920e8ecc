import { once } from 'node:events';
import { TrollfixError } from '../../kernel/errors.ts';
import { quotaProfiles } from '../../local/gateway/quota-profiles.ts';
import { isAlive } from '../../local/process-identity.ts';
import type { Stack } from '../../local/stack.ts';
import { readStackState } from '../../local/stack-state.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { detachUp } from '../detached-up.ts';
import { startEmbeddedStack } from '../embedded-stack.ts';
import type { StatusData } from '../outputs/status.ts';
import { stackStatus, statusText } from '../stack-status.ts';

export async function runUp(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const there = await statusOfRunning(context);
  if (there !== undefined) return alreadyUp(context, there);
  if (input.options.detach) return upResult(context, await detachUp(context, input.options));
  // the choices of the option are these names
  const plan = input.options.plan as keyof typeof quotaProfiles | undefined;
  const stack = await startEmbeddedStack(context, {
    persistent: true,
    fresh: input.options.fresh === true,
    quota: plan === undefined ? null : quotaProfiles[plan],
    livekit: input.options.livekit !== false,
    demo: true,
  });
  const status = await stackStatus(context.stateDir, stack.state).catch(async (error: unknown) => {
    await stack.stop();
    throw error;
  });
  return { ...upResult(context, status), hold: () => holdUp(context, stack) };
}

/** The status of a stack that is up already, or undefined. @throws TF-STK-006 when one is just starting or stopping */
async function statusOfRunning(context: CommandContext): Promise<StatusData | undefined> {
  const state = readStackState(context.stateDir);
  if (state === undefined || !(await isAlive(state.supervisor))) return undefined;
  if (state.phase !== 'up') {
    throw new TrollfixError('TF-STK-006', `the embedded stack is ${state.phase}`, {
      why: `process ${state.supervisor.pid} is at it`,
      hint: 'look again in a moment: trollfix status',
    });
  }
  return stackStatus(context.stateDir, state);
}

function alreadyUp(context: CommandContext, status: StatusData): CommandResult {
  context.progress({
    kind: 'note',
    text: `already up since ${status.startedAt} (pid ${status.supervisorPid}); \`trollfix down\` stops it`,
  });
  return upResult(context, { ...status, alreadyUp: true });
}

function upResult(context: CommandContext, status: StatusData): CommandResult {
  return { data: status, text: () => statusText(status, context.terminal.style), printsSecrets: true };
}

async function holdUp(context: CommandContext, stack: Stack): Promise<void> {
  try {
    const { signal } = context;
    context.progress({ kind: 'note', text: 'up until Ctrl-C or `trollfix down`' });
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await stack.stop();
  }
}
