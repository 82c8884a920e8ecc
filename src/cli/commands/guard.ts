import { once } from 'node:events';
import { TrollfixError } from '../../kernel/errors.ts';
import type { ListenAddress } from '../../kernel/listen-address.ts';
import type { EjectionReport } from '../../ops/guard/ejection-report.ts';
import { createGuard, type Guard } from '../../ops/guard/guard.ts';
import type { GuardStatus } from '../../ops/guard/guard-status.ts';
import type { PassSummary } from '../../ops/guard/reconciler.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption } from '../input-values.ts';
import type { GuardData } from '../outputs/guard.ts';
import { LastOutcomes } from './guard-outcomes.ts';

/** The port of OpenTelemetry's Prometheus exporter: scrapers know it. */
const defaultMetrics: ListenAddress = { host: '127.0.0.1', port: 9464 };

const defaultTripwires = 100;

/** How often the status is told to whoever reads along; alarms are told as they come. */
const statusEveryMs = 5_000;

/** A line that says nothing new is worth one a minute in a log. */
const repeatEveryMs = 60_000;

export async function runGuard(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const { options } = input;
  const isOnce = options.once === true;
  const outcomes = isOnce ? new LastOutcomes() : null;
  const limit = numberOption(input, 'tripwires');
  const guard = createGuard({
    target: await context.target(),
    // the choices of the option are these
    source: options.source === 'realtime' ? 'realtime' : 'listen',
    gate: addressOption(input, 'gate'),
    metrics: addressOption(input, 'metrics') ?? defaultMetrics,
    webhook: addressOption(input, 'webhook'),
    tripwires: limit ?? (options.tripwire === true ? defaultTripwires : 0),
    failOpen: options.failOpen === true,
    reconcileEveryMs: numberOption(input, 'every'),
    clock: context.clock,
    log: context.log,
    onEjected: (report) => {
      outcomes?.note(report);
      tell(context, report);
    },
  });
  return outcomes === null ? stay(context, guard) : runOnce(context, guard, outcomes);
}

async function runOnce(
  context: CommandContext,
  guard: Guard,
  outcomes: LastOutcomes,
): Promise<CommandResult> {
  const { rooms, users, offenders } = await guard.once(context.signal);
  const status = guard.status();
  const result = resultOf(status, { rooms, users, offenders });
  const { outbox } = status.enforcer;
  const { unfinished } = outcomes;
  if (unfinished === 0) return result;
  const why = `${unfinished} users could not be put out; ${outbox.pending} ejections are pending`;
  return { ...result, failure: new TrollfixError('TF-GRD-002', why) };
}

async function stay(context: CommandContext, guard: Guard): Promise<CommandResult> {
  const { signal } = context;
  await guard.start();
  const { gate, metrics, webhook } = guard.urls;
  context.event('started', { id: guard.status().id, gate, metrics, webhook });
  const where = [
    gate && `gate ${gate}`,
    metrics && `metrics ${metrics}/metrics`,
    webhook && `webhook ${webhook}`,
  ];
  context.progress({ kind: 'done', text: `guarding; ${where.filter(Boolean).join(', ')}` });
  if (gate === null) {
    context.progress({
      kind: 'note',
      text: 'without --gate a token that was given stays good: whoever is removed can come back until noticed',
    });
  }
  const report = statusTeller(context);
  const timer = setInterval(() => report(guard.status()), statusEveryMs);
  let last = guard.status();
  try {
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    clearInterval(timer);
    context.progress({ kind: 'step', text: 'finishing what is under way' });
    last = guard.status();
    await guard.stop();
  }
  return resultOf(last, null);
}

function addressOption({ options }: CommandInput, name: string): ListenAddress | null {
  // made by the option's parser
  return (options[name] as ListenAddress | undefined) ?? null;
}

function tell(context: CommandContext, report: EjectionReport): void {
  const { streamId, userId, cause, outcome, createdAt, finishedAt } = report;
  if (outcome.kind === 'obsolete') return;
  const removed = outcome.kind === 'clean' ? [...outcome.removed] : [];
  const tookMs = createdAt === null ? null : Math.max(0, finishedAt - createdAt);
  context.event('ejection', { streamId, userId, cause, outcome: outcome.kind, removed, tookMs });
  if (outcome.kind === 'clean' && removed.length > 0) {
    const took = tookMs === null ? '' : ` ${tookMs.toFixed(0)} ms after the decision`;
    context.log.info(`${cause}: ${removed.join(', ')} out of ${streamId}${took}`);
  }
}

/** Tells the status when there is something new in it, or when it was told a minute ago. */
function statusTeller(context: CommandContext): (status: GuardStatus) => void {
  let told = '';
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return (status) => {
    const { enforcer, gate, healthy, alarms } = status;
    const { ejected, failed, passes, outbox } = enforcer;
    context.event('status', {
      ...{ healthy, alarms, ejected, failed, passes, pending: outbox.pending },
      gate: gate && { open: gate.open, admitted: gate.admitted, ready: gate.ready },
    });
    const line = statusLine(status);
    const nowMs = context.clock.monotonicMs();
    if (line === told && nowMs - toldAtMs < repeatEveryMs) return;
    told = line;
    toldAtMs = nowMs;
    context.progress({ kind: 'note', text: line });
  };
}

function statusLine({ enforcer, gate, alarms }: GuardStatus): string {
  const { ejected, outbox } = enforcer;
  const parts = [
    alarms.length === 0 ? 'all well' : `ALARM: ${alarms.join('; ')}`,
    `${ejected} ejected, ${outbox.pending} pending`,
    ...(gate === null
      ? []
      : [`gate: ${gate.admitted} let in, ${sum(gate.refused)} refused, ${gate.open} inside`]),
  ];
  return parts.join(' | ');
}

function resultOf(status: GuardStatus, pass: Omit<PassSummary, 'bans'> | null): CommandResult {
  const { enforcer, gate, webhooks, tripwires, alarms } = status;
  const { ejected, failed, passes, outbox } = enforcer;
  const data: GuardData = {
    ...{ ejected, failed, passes, pass, pending: outbox.pending },
    gate: gate && { admitted: gate.admitted, refused: { ...gate.refused }, cut: gate.cut },
    webhooks: webhooks && { ...webhooks },
    trips: tripwires?.trips ?? null,
    // of one pass nothing can be late
    alarms: pass === null ? [...alarms] : [],
  };
  return { data, text: () => `${textOf(data)}\n` };
}

function textOf({ ejected, pending, pass, passes, gate }: GuardData): string {
  const looked =
    pass === null
      ? `compared rooms with the rows ${passes} times`
      : `${pass.users} users in ${pass.rooms} rooms, ${pass.offenders} of them where they may not be`;
  const doors = gate === null ? '' : `; gate: ${gate.admitted} let in, ${sum(gate.refused)} refused`;
  return `${looked}; ${ejected} ejected, ${pending} pending${doors}`;
}

function sum(counts: Readonly<Record<string, number | undefined>>): number {
  return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0);
}
