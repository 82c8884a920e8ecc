import type { Target } from '../../config/target.ts';
import type { Stack } from '../../local/stack.ts';
import type { StackState } from '../../local/stack-state.ts';
import { provisionUrl } from '../../provision/provision-url.ts';
import { runDrill } from '../../run/drill.ts';
import { type DrillPlan, fullDrill, quickDrill, withQuota } from '../../run/drill-plan.ts';
import type { CommandContext, CommandInput, CommandRun } from '../command.ts';
import { startEmbeddedStack } from '../embedded-stack.ts';
import { recordRun } from '../recorded-run.ts';
import { assertSafe } from '../safety.ts';
import { runningStack, servicesOf } from '../target-services.ts';

/** The main job. A stack that is up already is used and left up; one that the drill starts is taken down again. */
export const runDrillCommand: CommandRun = async (context, input) => {
  const plan = input.options.quick === true ? quickDrill : fullDrill;
  const { target: chosen } = await context.configuration();
  if (chosen.kind !== 'embedded') {
    const target = await context.target();
    await assertSafe(context, target, intentOf(plan));
    await provisionTarget(context, target);
    return drillAgainst(context, input, plan, target, undefined);
  }
  const running = await runningStack(context.stateDir);
  if (running !== undefined) {
    const target = await context.target();
    await provisionTarget(context, target);
    return drillAgainst(context, input, plan, target, running);
  }
  context.progress({ kind: 'step', text: 'starting the embedded stack' });
  const stack = await startEmbeddedStack(context, { persistent: false, quota: null, livekit: true });
  try {
    warnOfExits(context, stack);
    // asked of the context, as every command does: what it hands out it keeps out of every output
    return await drillAgainst(context, input, plan, await context.target(), stack.state);
  } finally {
    context.progress({ kind: 'step', text: 'taking down the embedded stack' });
    await stack.stop();
  }
};

async function drillAgainst(
  context: CommandContext,
  input: CommandInput,
  chosen: DrillPlan,
  target: Target,
  stack: StackState | undefined,
) {
  const plan = withQuota(chosen, stack?.quota ?? null);
  return recordRun(context, input, {
    command: 'drill',
    target,
    services: await servicesOf(target, stack),
    config: { quick: chosen === quickDrill, quota: stack?.quota?.name ?? null, plan },
    work: (session, findings) => runDrill(session, plan, findings),
  });
}

/** The most that any part of the plan offers, for the safety guard. */
function intentOf(plan: DrillPlan) {
  const loads = [plan.chat, plan.gift, plan.seat, plan.hls, plan.leaderboard, plan.token];
  return {
    what: 'chaos' as const,
    ratePerS: Math.max(...loads.map((load) => load.ratePerS)),
    users: Math.max(...loads.map((load) => load.users)),
  };
}

async function provisionTarget({ log, progress }: CommandContext, target: Target): Promise<void> {
  if (target.databaseUrl === undefined) return;
  await provisionUrl(target.databaseUrl.reveal(), { log, progress });
}

/** A service that dies under the drill explains figures that nothing else would. */
function warnOfExits({ log }: CommandContext, stack: Stack): void {
  stack.onServiceExit(({ service, reason }) => log.warn(`${service} died: ${reason}`));
}
