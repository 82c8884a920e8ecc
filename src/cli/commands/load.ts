import { checkThresholds, type LoadName, type LoadRequest, loadDefaults, loadParts } from '../../run/load.ts';
import { runPart } from '../../run/parts.ts';
import type { CommandInput, CommandRun } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { recordRun } from '../recorded-run.ts';
import { assertSafe } from '../safety.ts';
import { runningStack, servicesOf } from '../target-services.ts';

/** One probe at a fixed rate. What is not asked for is as in the full drill. */
export function loadCommand(name: LoadName): CommandRun {
  return async (context, input) => {
    const asked = requestOf(name, input);
    checkThresholds(name, asked.thresholds);
    const target = await context.target();
    const stack = target.kind === 'embedded' ? await runningStack(context.stateDir) : undefined;
    const request = { ...asked, quota: stack?.quota ?? null };
    await assertSafe(context, target, {
      what: 'load',
      ratePerS: request.ratePerS,
      users: request.users + (request.active ?? 0),
    });
    const parts = loadParts(name, request);
    return recordRun(context, input, {
      command: `load ${name}`,
      target,
      services: await servicesOf(target, stack),
      config: { ...request },
      work: async (session, findings) => {
        for (const part of parts) findings.measurements.push(...(await runPart(session, part)));
      },
    });
  };
}

function requestOf(name: LoadName, input: CommandInput): Omit<LoadRequest, 'quota'> {
  const defaults = loadDefaults[name];
  const number = (key: string, otherwise: number) => numberOption(input, key) ?? otherwise;
  const { threshold } = input.options;
  const thresholds = Array.isArray(threshold) ? threshold.map(String) : [];
  const users = number('users', defaults.users);
  const connections = number('connections', name === 'chat' ? users : defaults.connections);
  return {
    ratePerS: number('rate', defaults.ratePerS),
    durationMs: number('duration', defaults.durationMs),
    rampMs: number('ramp', 0),
    users,
    connections,
    workers: 1,
    rooms: number('rooms', 1),
    thresholds,
    ...(name === 'seat' ? { active: number('active', defaults.active ?? 0) } : {}),
  };
}
