import type { Target } from '../config/target.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { isLoopbackHost } from '../kernel/loopback.ts';
import type { CommandContext } from './command.ts';

/** What a run is about to do to a target. */
export interface Intent {
  readonly what: 'load' | 'chaos';
  /** The most operations per second that any part of it offers. */
  readonly ratePerS: number;
  /** Synthetic users it makes. */
  readonly users: number;
}

/** The hosts of a target that are not this machine. */
export function remoteHosts(target: Target): string[] {
  const urls = [
    target.supabaseUrl,
    target.databaseUrl?.reveal(),
    target.livekit?.url,
    target.livekit?.gateUrl,
    target.hls?.url,
    target.tokenEndpoint,
  ];
  const hosts = urls.flatMap((url) => (url === undefined ? [] : [hostOf(url)]));
  return [...new Set(hosts)].filter((host) => !isLoopbackHost(host));
}

/**
 * The guard in front of every load and chaos command. Loopback is free; any other host needs `limits` in
 * trollfix.yaml, a run below them, and the target's name: `--confirm NAME`, or typed at the prompt. `--yes` is not enough.
 * @throws TF-SAFE-001, TF-SAFE-002, TF-CLI-005
 */
export async function assertSafe(
  context: Pick<CommandContext, 'globals' | 'prompts'>,
  target: Target,
  intent: Intent,
): Promise<void> {
  const hosts = remoteHosts(target);
  if (hosts.length === 0) return;
  assertLimits(target, hosts, intent);
  await assertConfirmed(context, target, hosts, intent);
}

function assertLimits(target: Target, hosts: readonly string[], intent: Intent): void {
  const { limits, name } = target;
  const where = `target "${name}" is ${hosts.join(', ')}, not this machine`;
  if (!limits) {
    throw new TrollfixError('TF-SAFE-001', `${intent.what} refused: ${where}, and it has no limits`, {
      hint:
        `write \`limits: { maxRate: 50/s, maxUsers: 100, chaos: false }\` under \`targets.${name}\` in trollfix.yaml, ` +
        `and pass \`--confirm ${name}\``,
      details: { target: name, hosts },
    });
  }
  const over = [
    ...(intent.ratePerS > limits.maxRate
      ? [`${intent.ratePerS}/s is above maxRate ${limits.maxRate}/s`]
      : []),
    ...(intent.users > limits.maxUsers
      ? [`${intent.users} users are above maxUsers ${limits.maxUsers}`]
      : []),
    ...(intent.what === 'chaos' && !limits.chaos ? ['chaos is false'] : []),
  ];
  if (over.length === 0) return;
  throw new TrollfixError('TF-SAFE-002', `${intent.what} refused: above the limits of target "${name}"`, {
    why: over.join('; '),
    hint: `ask for less, or raise \`targets.${name}.limits\` in trollfix.yaml`,
    details: { target: name, limits: { ...limits }, intent: { ...intent } },
  });
}

async function assertConfirmed(
  { globals, prompts }: Pick<CommandContext, 'globals' | 'prompts'>,
  target: Target,
  hosts: readonly string[],
  intent: Intent,
): Promise<void> {
  const { name } = target;
  const flag = `--confirm ${name}`;
  const answer =
    globals.confirm ??
    (await prompts.text(
      `This puts ${intent.what} on ${hosts.join(', ')}. Type the target's name (${name}):`,
      { flag },
    ));
  if (answer === name) return;
  throw new TrollfixError(
    'TF-SAFE-001',
    `${intent.what} refused: "${answer}" is not the name of the target`,
    {
      why: `the target is "${name}" (${hosts.join(', ')})`,
      hint: `pass \`${flag}\``,
      details: { target: name, given: answer },
    },
  );
}

function hostOf(url: string): string {
  // a URL that cannot be read counts as far away; configuration has refused it before
  return URL.parse(url)?.hostname ?? url;
}
