import type { LoadResult } from '../../engine/load-result.ts';
import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import { countMetric } from '../verdict.ts';
import type { GiftAudit } from './gift-audit.ts';

/** What thresholds of a gift run may name. Tag `path`: http or sql. */
export const giftMetrics = {
  /** Intended start → acknowledgement. */
  gift_ingest: 'trend',
  /** Share of the gifts due that were acknowledged; what an interruption cut off is not among them. */
  gift_accepted: 'rate',
  gift_rejected: 'counter',
  gift_errors: 'counter',
  /** Gifts decided per second of settlement work. */
  gift_settlement_rate: 'gauge',
  gift_backlog_left: 'counter',
  gift_lost_acknowledged: 'counter',
  gift_doubled: 'counter',
  gift_resent_accepted: 'counter',
  gift_unsettled: 'counter',
  gift_settled_twice: 'counter',
  gift_orphaned_settlements: 'counter',
  gift_money_difference: 'counter',
  gift_negative_wallets: 'counter',
  gift_wrong_totals: 'counter',
} as const satisfies MetricCatalogue;

/** A server that takes half of the gifts keeps perfect books of the other half. */
export const intakeInvariants = ['gift_accepted: rate==1'] as const;

/** Money and exactly-once hold with no tolerance, in every run whose books can be read. */
export const giftInvariants = [
  ...intakeInvariants,
  'gift_lost_acknowledged: count==0',
  'gift_doubled: count==0',
  'gift_resent_accepted: count==0',
  'gift_backlog_left: count==0',
  'gift_unsettled: count==0',
  'gift_settled_twice: count==0',
  'gift_orphaned_settlements: count==0',
  'gift_money_difference: count==0',
  'gift_negative_wallets: count==0',
  'gift_wrong_totals: count==0',
] as const;

/** Which of the two measurements a metric is judged in. */
export function isIngestionMetric(name: string): boolean {
  return [
    'gift_ingest',
    'gift_accepted',
    'gift_rejected',
    'gift_errors',
    'gift_lost_acknowledged',
    'gift_doubled',
    'gift_resent_accepted',
  ].includes(name);
}

export function ingestionMetrics(path: 'http' | 'sql', { latency, counts, elapsedMs }: LoadResult): Metric[] {
  const due = counts.offered - counts.unfinished;
  const metrics: Metric[] = [
    { name: 'gift_ingest', value: { kind: 'trend', histogram: latency.intendedToAnswer } },
    { name: 'gift_accepted', value: { kind: 'rate', hits: counts.ok, samples: due } },
    countMetric('gift_rejected', counts.rejected, counts.sent, elapsedMs),
    countMetric('gift_errors', counts.errors + counts.timeouts, counts.sent, elapsedMs),
  ];
  return metrics.map((metric) => ({ ...metric, tags: { path } }));
}

/** @param settled what was settled: the rate, and what was left of the backlog */
export function auditMetrics(
  audit: GiftAudit,
  settled: { ratePerS: number | null; left: number; elapsedMs: number },
): Metric[] {
  const { elapsedMs } = settled;
  const rate = settled.ratePerS;
  return [
    {
      name: 'gift_settlement_rate',
      value: { kind: 'gauge', value: rate ?? 0, samples: rate === null ? 0 : 1 },
    },
    countMetric('gift_backlog_left', settled.left, audit.gifts, elapsedMs),
    countMetric('gift_lost_acknowledged', audit.lostAcknowledged, audit.acknowledged, elapsedMs),
    countMetric('gift_doubled', audit.doubled, audit.acknowledged, elapsedMs),
    countMetric('gift_resent_accepted', audit.resentAccepted, audit.resent, elapsedMs),
    countMetric('gift_unsettled', audit.unsettled, audit.gifts, elapsedMs),
    countMetric('gift_settled_twice', audit.settledTwice, audit.gifts, elapsedMs),
    countMetric('gift_orphaned_settlements', audit.orphaned, audit.gifts, elapsedMs),
    countMetric('gift_money_difference', Math.abs(audit.moneyDifference), audit.wallets, elapsedMs),
    countMetric('gift_negative_wallets', audit.negativeWallets, audit.wallets, elapsedMs),
    countMetric('gift_wrong_totals', audit.wrongTotals, audit.wallets, elapsedMs),
  ];
}
