import type { LoadResult } from '../../engine/load-result.ts';
import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import type { AuditFinding, GiftAudit } from '../../target/postgres/gift-audit.ts';
import { countMetric } from '../verdict.ts';
import type { LookedUp, Resent } from './acknowledgements.ts';
import { type Settlement, settlementRate } from './settlement.ts';

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
  /** Intake → decision, of the gifts that the target's own schedule decided. */
  gift_settlement_wait: 'trend',
  /** Share of the decided gifts that the target's own schedule decided, without the probe's help. */
  gift_by_schedule: 'rate',
  gift_backlog_left: 'counter',
  gift_lost_acknowledged: 'counter',
  gift_doubled: 'counter',
  gift_resent_accepted: 'counter',
  gift_unsettled: 'counter',
  gift_settled_twice: 'counter',
  gift_orphaned_settlements: 'counter',
  gift_money_difference: 'counter',
  gift_negative_wallets: 'counter',
  gift_wrong_balances: 'counter',
  gift_wrong_totals: 'counter',
  gift_wrong_boards: 'counter',
  /** Rows of queue, settlements and reversals that do not fit their gift, or do not add up to the gifts. */
  gift_misfits: 'counter',
} as const satisfies MetricCatalogue;

/** A server that takes half of the gifts keeps perfect books of the other half. */
export const intakeInvariants = ['gift_accepted: rate==1'] as const;

/**
 * Money and exactly-once hold with no tolerance, in every run whose books can be read; and somebody other than the probe
 * settles, 99 % within two intervals of the schedule (ledger.md §6).
 */
export const giftInvariants = [
  ...intakeInvariants,
  'gift_lost_acknowledged: count==0',
  'gift_doubled: count==0',
  'gift_resent_accepted: count==0',
  'gift_by_schedule: rate==1',
  'gift_settlement_wait: p(99)<=20s',
  'gift_backlog_left: count==0',
  'gift_unsettled: count==0',
  'gift_settled_twice: count==0',
  'gift_orphaned_settlements: count==0',
  'gift_money_difference: count==0',
  'gift_negative_wallets: count==0',
  'gift_wrong_balances: count==0',
  'gift_wrong_totals: count==0',
  'gift_wrong_boards: count==0',
  'gift_misfits: count==0',
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

/** Which metric tells of a check of the audit. Money is told in coins, not in checks. */
const metricOf: Readonly<Record<AuditFinding['check'], keyof typeof giftMetrics>> = {
  'money.conserved': 'gift_money_difference',
  'wallet.negative': 'gift_negative_wallets',
  'wallet.balance': 'gift_wrong_balances',
  'gift.once': 'gift_doubled',
  'gift.lost': 'gift_unsettled',
  'settlement.once': 'gift_settled_twice',
  'settlement.orphan': 'gift_orphaned_settlements',
  'settlement.content': 'gift_misfits',
  'queue.decided': 'gift_settled_twice',
  'queue.content': 'gift_misfits',
  'ledger.count': 'gift_misfits',
  'reversal.once': 'gift_misfits',
  'reversal.content': 'gift_misfits',
  'leaderboard.totals': 'gift_wrong_totals',
  'leaderboard.days': 'gift_wrong_boards',
  'leaderboard.streams': 'gift_wrong_boards',
  'leaderboard.top': 'gift_wrong_boards',
};

/** What a probe knows at the end of a run whose books it could read. */
export interface GiftBooks {
  readonly audit: GiftAudit;
  readonly lookedUp: LookedUp;
  readonly resent: Resent;
}

/** Violations of the checks that a metric tells of; each looked at all gifts or all wallets of the run. */
export function violationsOf(audit: GiftAudit, metric: keyof typeof giftMetrics): number {
  const found = audit.findings.filter(({ check }) => metricOf[check] === metric);
  return found.reduce((sum, { violations }) => sum + violations, 0);
}

/** Coins that are there and should not be, or the other way round: 0, or money was made or lost. */
export function moneyDifference({ counts }: GiftAudit): number {
  return counts.coinsHeld + counts.coinsInFees - counts.coinsDeposited;
}

/** In the ledger and in no settlement: lost, or still waiting. */
export function unsettledOf(audit: GiftAudit): number {
  return violationsOf(audit, 'gift_unsettled') + audit.counts.pending;
}

export function bookMetrics({ audit, lookedUp, resent }: GiftBooks, settlement: Settlement): Metric[] {
  const { elapsedMs, left, logs, schedule } = settlement;
  const rate = settlementRate(logs);
  const { gifts, wallets } = audit.counts;
  const ofBooks = (name: keyof typeof giftMetrics, samples: number) =>
    countMetric(name, violationsOf(audit, name), samples, elapsedMs);
  return [
    {
      name: 'gift_settlement_rate',
      value: { kind: 'gauge', value: rate ?? 0, samples: rate === null ? 0 : 1 },
    },
    { name: 'gift_settlement_wait', value: { kind: 'trend', histogram: schedule.waits } },
    {
      name: 'gift_by_schedule',
      value: { kind: 'rate', hits: schedule.bySchedule, samples: schedule.decided },
    },
    countMetric('gift_backlog_left', left, gifts, elapsedMs),
    countMetric('gift_lost_acknowledged', lookedUp.lost, lookedUp.acknowledged, elapsedMs),
    ofBooks('gift_doubled', gifts),
    countMetric('gift_resent_accepted', resent.accepted, resent.resent, elapsedMs),
    countMetric('gift_unsettled', unsettledOf(audit), gifts, elapsedMs),
    ofBooks('gift_settled_twice', gifts),
    ofBooks('gift_orphaned_settlements', gifts),
    countMetric('gift_money_difference', Math.abs(moneyDifference(audit)), wallets, elapsedMs),
    ofBooks('gift_negative_wallets', wallets),
    ofBooks('gift_wrong_balances', wallets),
    ofBooks('gift_wrong_totals', wallets),
    ofBooks('gift_wrong_boards', wallets),
    ofBooks('gift_misfits', gifts),
  ];
}
