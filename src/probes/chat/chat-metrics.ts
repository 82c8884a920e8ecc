import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import { countMetric } from '../verdict.ts';
import { type BroadcastResult, rateLimitEvidence } from './broadcast-run.ts';
import type { DatabaseRunResult } from './database-run.ts';

/** What thresholds of a chat run may name. Tags: `transport` broadcast|database, `client` raw|official on `chat_rtt`. */
export const chatMetrics = {
  /** Intended start → delivery, per receiver. */
  chat_rtt: 'trend',
  /** Intended start → the server's acknowledgement (broadcast) or the RPC's answer (database). */
  chat_ack: 'trend',
  chat_lost: 'counter',
  chat_duplicated: 'counter',
  chat_reordered: 'counter',
  chat_unknown: 'counter',
  chat_unexpected: 'counter',
  /** Messages that supabase-js got in full and the raw sockets did not, or the other way round. */
  chat_disagreement: 'counter',
  chat_rejected: 'counter',
  /** Messages that the server neither took nor refused, without a word about rates. */
  chat_unanswered: 'counter',
  /** Members whose channel or socket ended without a word about rates. */
  chat_cut_off: 'counter',
  /** Share of offered messages confirmed at every receiver. */
  chat_confirmed: 'rate',
} as const satisfies MetricCatalogue;

/** What must hold in every chat run. */
export const chatInvariants = [
  'chat_lost: count==0',
  'chat_duplicated: count==0',
  'chat_reordered: count==0',
  'chat_unexpected: count==0',
  'chat_disagreement: count==0',
  'chat_unanswered: count==0',
  'chat_cut_off: count==0',
] as const;

export function metricsOf(broadcast: BroadcastResult, database: DatabaseRunResult | undefined): Metric[] {
  // under a quota the server ends channels, and says so first: that is the limit, not a fault
  const underQuota = rateLimitEvidence(broadcast.troubles).length > 0;
  const [cutOff, unanswered] = underQuota ? [0, 0] : [broadcast.receiversCut, broadcast.unanswered];
  const metrics: Metric[] = [
    ...shared('broadcast', { ...broadcast, unanswered }),
    trend('chat_rtt', { transport: 'broadcast', client: 'raw' }, broadcast.latency.raw),
    trend('chat_rtt', { transport: 'broadcast', client: 'official' }, broadcast.latency.official),
    trend('chat_ack', { transport: 'broadcast' }, broadcast.ackLatency),
    countMetric('chat_cut_off', cutOff, broadcast.receivers, broadcast.load.elapsedMs),
  ];
  if (!database) return metrics;
  return [
    ...metrics,
    ...shared('database', database),
    trend('chat_rtt', { transport: 'database' }, database.latency),
    trend('chat_ack', { transport: 'database' }, database.writeLatency),
  ];
}

function trend(name: string, tags: Record<string, string>, histogram: BroadcastResult['ackLatency']): Metric {
  return { name, tags, value: { kind: 'trend', histogram } };
}

function shared(
  transport: 'broadcast' | 'database',
  { load, counts, disagreements, unanswered }: BroadcastResult | DatabaseRunResult,
): Metric[] {
  const { offered, sent, ok, rejected } = load.counts;
  const { elapsedMs } = load;
  const expected = counts.delivered + counts.lost + counts.unknown;
  const tagged = [
    countMetric('chat_lost', counts.lost, expected, elapsedMs),
    countMetric('chat_duplicated', counts.duplicated, counts.delivered, elapsedMs),
    countMetric('chat_reordered', counts.reordered, counts.delivered, elapsedMs),
    countMetric('chat_unknown', counts.unknown, expected, elapsedMs),
    countMetric('chat_unexpected', counts.unexpected, counts.delivered, elapsedMs),
    countMetric('chat_disagreement', disagreements, sent, elapsedMs),
    countMetric('chat_rejected', rejected, sent, elapsedMs),
    countMetric('chat_unanswered', unanswered, sent, elapsedMs),
    { name: 'chat_confirmed', value: { kind: 'rate', hits: ok, samples: offered } } satisfies Metric,
  ];
  return tagged.map((metric) => ({ ...metric, tags: { transport } }));
}
