import { statusOf } from '../../engine/load-result.ts';
import type { Threshold } from '../../engine/thresholds.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Measurement } from '../../record/measurement.ts';
import { createFixture, type Fixture } from '../fixture.ts';
import type { LoadPlan, ProbeContext, ProbeResult } from '../probe.ts';
import { bottleneckOf, generatorOf, judgeThresholds, readThresholds, reasonOf } from '../verdict.ts';
import { type BroadcastResult, rateLimitEvidence, runBroadcast } from './broadcast-run.ts';
import { chatInvariants, chatMetrics, metricsOf } from './chat-metrics.ts';
import { type DatabaseRunResult, runDatabaseChat } from './database-run.ts';

export interface ChatProbeOptions {
  /** Rooms (streams) over which members are shared out; default 1. */
  readonly rooms?: number;
  /** How many members use supabase-js; the rest are raw sockets. */
  readonly officialClients?: number;
  /** The quota that the target is known to enforce; gives the theoretical limit. */
  readonly quota?: { readonly name: string; readonly messagesPerS: number } | null;
  /** Messages per second through the database; 0 leaves that transport out. */
  readonly databaseRatePerS?: number;
  readonly databaseDurationMs?: number;
  readonly deliveryTimeoutMs?: number;
}

/** A delivery later than this counts as lost for the operation; it is still followed until the end of the run. */
const defaultDeliveryTimeoutMs = 5000;
/** supabase-js costs three times a raw socket; three of them see what it sees. */
const defaultOfficialClients = 3;
/** A modest rate: RLS is checked per receiver and change, and it is the transport's fidelity that is looked at. */
const defaultDatabaseRatePerS = 20;
const longestDatabaseMs = 10_000;
/** Room for arrivals that come a little early: each user sends once per 1.2 s. */
const userGapFactor = 1.2;
const databaseReceivers = 10;

const titles = { throughput: 'Chat Throughput', latency: 'Chat Latency' } as const;

/**
 * Chat through Realtime: `plan.connections` members in `rooms` rooms, sending in turn at `plan.ratePerS` over all
 * rooms for `plan.rampMs` + `plan.durationMs`. Load senders of the broadcast transport are not held to one message
 * per second: what Realtime carries is measured there. The database transport then runs with users who are.
 * `plan.workers` is 1 for now: the engine runs in this process.
 */
export async function runChatProbe(
  ctx: ProbeContext,
  plan: LoadPlan & ChatProbeOptions,
): Promise<ProbeResult> {
  const thresholds = readThresholds(chatMetrics, chatInvariants, plan.thresholds);
  const rooms = Math.max(1, Math.min(plan.rooms ?? 1, Math.floor(plan.connections / 2)));
  const connections = Math.max(2, plan.connections);
  const deliveryTimeoutMs = plan.deliveryTimeoutMs ?? defaultDeliveryTimeoutMs;
  const fixture = await chatFixture(ctx, plan, rooms, connections);
  try {
    const broadcast = await runBroadcast(ctx, {
      plan,
      topics: fixture.topics,
      tokens: fixture.tokens,
      connections,
      officialClients: Math.min(plan.officialClients ?? defaultOfficialClients, connections - rooms),
      deliveryTimeoutMs,
      seriesName: 'chat.throughput.ndjson',
    });
    const database = await databasePart(ctx, plan, fixture.fixture, deliveryTimeoutMs);
    const part = { broadcast, database, thresholds, plan };
    return { measurements: [throughputOf(part), latencyOf(part)] };
  } finally {
    await fixture.fixture?.release();
  }
}

interface ChatFixture {
  readonly topics: readonly string[];
  readonly tokens: readonly string[];
  readonly fixture: Fixture | undefined;
}

/** Private channels of synthetic streams where users can be made, public ones otherwise. */
async function chatFixture(
  ctx: ProbeContext,
  plan: LoadPlan,
  rooms: number,
  connections: number,
): Promise<ChatFixture> {
  const { database, target } = ctx;
  if (!database && !target.serviceRoleKey) {
    const topics = Array.from({ length: rooms }, (_, room) => `trollfix:${ctx.runId}:${room}`);
    return { topics, tokens: [], fixture: undefined };
  }
  const users = Math.max(plan.users, connections);
  const fixture = await createFixture(ctx, { users, streams: rooms, balance: 0 });
  return {
    topics: fixture.streamIds.map((id) => `chat:${id}`),
    tokens: fixture.users.map((user) => user.token),
    fixture,
  };
}

interface DatabasePart {
  readonly result?: DatabaseRunResult;
  readonly reason?: string;
}

/** A failure here takes nothing from the broadcast figures: it is reported in their details. */
async function databasePart(
  ctx: ProbeContext,
  plan: LoadPlan & ChatProbeOptions,
  fixture: Fixture | undefined,
  deliveryTimeoutMs: number,
): Promise<DatabasePart> {
  const streamId = fixture?.streamIds[0];
  const asked = plan.databaseRatePerS ?? defaultDatabaseRatePerS;
  if (!fixture || streamId === undefined) return { reason: 'no synthetic users on this target' };
  if (asked <= 0) return { reason: 'left out: databaseRatePerS is 0' };
  if (ctx.signal.aborted) return { reason: 'interrupted before it began' };
  try {
    const result = await runDatabaseChat(ctx, {
      streamId,
      users: fixture.users,
      ratePerS: Math.min(asked, plan.ratePerS, fixture.users.length / userGapFactor),
      durationMs: plan.databaseDurationMs ?? Math.min(plan.durationMs, longestDatabaseMs),
      rawReceivers: Math.min(databaseReceivers, Math.max(1, plan.connections - 1)),
      deliveryTimeoutMs,
      connections: 16,
      seriesName: 'chat.database.ndjson',
    });
    return { result };
  } catch (error) {
    ctx.log.warn(`chat over the database did not run: ${messageOf(error)}`);
    return { reason: messageOf(error) };
  }
}

interface ChatParts {
  readonly broadcast: BroadcastResult;
  readonly database: DatabasePart;
  readonly thresholds: readonly Threshold[];
  readonly plan: LoadPlan & ChatProbeOptions;
}

function throughputOf(parts: ChatParts): Measurement {
  const { broadcast, database, thresholds, plan } = parts;
  const { load, counts } = broadcast;
  const status = statusOf({ samples: load.counts.ok, generator: load.generator }, 'estimate');
  const reason = reasonOf(status, load.generator);
  const metrics = metricsOf(broadcast, database.result);
  return {
    id: 'chat.throughput',
    title: titles.throughput,
    status,
    value: load.counts.ok === 0 ? null : load.achievedPerS,
    unit: 'msg/s',
    bounds: null,
    samples: load.counts.ok,
    latencyMs: load.latency.intendedToAnswer.summary(),
    theoretical: theoreticalOf(plan, broadcast.fanOut),
    bottleneck: bottleneckOf(load, rateLimitEvidence(broadcast.troubles), 'msg/s'),
    counts: { ...load.counts, ...counts, unanswered: broadcast.unanswered },
    thresholds: judgeThresholds(thresholds, metrics, (name) => !isLatency(name)),
    generator: generatorOf(load.generator),
    series: 'chat.throughput.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted:
        'value: messages per second that Realtime acknowledged and that every other member of the room received, after the ramp; a message counts once, however many receive it. counts.sent: messages handed to a socket; counts.delivered: first arrivals of a message at a receiver. latencyMs: from the intended start until the last receiver had it.',
      transport: 'Realtime broadcast, serializer 2.0.0, private channels with acknowledgement',
      offeredPerS: load.offeredPerS,
      deliveriesPerS: (counts.delivered * 1000) / load.elapsedMs,
      receiversPerMessage: broadcast.fanOut,
      connections: broadcast.receivers,
      receiversWithLoss: broadcast.receiversWithLoss,
      receiversCut: broadcast.receiversCut,
      perUserPerS: load.offeredPerS / broadcast.receivers,
      officialClient: { ...broadcast.official, disagreements: broadcast.disagreements },
      serverMessages: broadcast.troubles,
      rejections: load.reasons,
      database: databaseDetails(database),
    },
  };
}

function latencyOf({ broadcast, database, thresholds }: ChatParts): Measurement {
  const { load, latency } = broadcast;
  const all = latency.raw.copy();
  all.add(latency.official);
  const status = statusOf({ samples: all.count, generator: load.generator }, 'measured');
  const reason = reasonOf(status, load.generator);
  const summary = all.summary();
  return {
    id: 'chat.latency',
    title: titles.latency,
    status,
    value: summary?.p99 ?? null,
    unit: 'ms',
    bounds: null,
    samples: all.count,
    latencyMs: summary,
    theoretical: null,
    bottleneck: bottleneckOf(load, rateLimitEvidence(broadcast.troubles), 'msg/s'),
    counts: { delivered: all.count },
    thresholds: judgeThresholds(thresholds, metricsOf(broadcast, database.result), isLatency),
    generator: generatorOf(load.generator),
    series: 'chat.throughput.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted: 'p99 of the time from the intended start of a message to its arrival, one sample per receiver',
      rawClientMs: latency.raw.summary(),
      officialClientMs: latency.official.summary(),
      acknowledgementMs: broadcast.ackLatency.summary(),
      generatorLagMs: load.latency.intendedToSend.summary(),
      databaseMs: database.result?.latency.summary() ?? null,
      hdr: all.toHdrBase64(),
    },
  };
}

function isLatency(name: string): boolean {
  return chatMetrics[name as keyof typeof chatMetrics] === 'trend'; // safe: an unknown name gives undefined
}

/** Every send costs the quota one message plus one per receiver (supabase.md §2). */
function theoreticalOf(plan: ChatProbeOptions, receivers: number): Measurement['theoretical'] {
  if (!plan.quota) return null;
  const { name, messagesPerS } = plan.quota;
  return {
    value: messagesPerS / (1 + receivers),
    unit: 'msg/s',
    source: `quota ${name}: ${messagesPerS}/(1+N) with N=${receivers.toFixed(1)} receivers, as an average over 60 s (supabase.com/docs/guides/realtime/limits)`,
  };
}

function databaseDetails({ result, reason }: DatabasePart): Record<string, unknown> {
  if (!result) return { ran: false, reason };
  const { load, counts, official, disagreements, receivers, latency, writeLatency, throttled } = result;
  return {
    ran: true,
    transport: 'send_chat_message over HTTP, read back through postgres_changes under RLS',
    confirmedPerS: load.achievedPerS,
    offeredPerS: load.offeredPerS,
    receivers,
    counts: { ...load.counts, ...counts, throttled },
    officialClient: { ...official, disagreements },
    latencyMs: latency.summary(),
    writeLatencyMs: writeLatency.summary(),
    rejections: load.reasons,
    generator: generatorOf(load.generator),
  };
}
