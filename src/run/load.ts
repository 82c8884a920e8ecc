import type { MetricCatalogue } from '../engine/thresholds.ts';
import { chatMetrics } from '../probes/chat/chat-metrics.ts';
import type { ChatProbeOptions } from '../probes/chat/chat-probe.ts';
import { giftMetrics } from '../probes/gift/gift-metrics.ts';
import { hlsMetrics } from '../probes/hls/hls-probe.ts';
import { leaderboardMetrics } from '../probes/leaderboard/leaderboard-probe.ts';
import type { LoadPlan } from '../probes/probe.ts';
import { seatMetrics } from '../probes/seat/findings.ts';
import type { SeatPlan } from '../probes/seat/seat-probe.ts';
import { stormId, stormMetrics, stormTitle } from '../probes/seat/storm-findings.ts';
import { runStormProbe } from '../probes/seat/storm-probe.ts';
import { readThresholds } from '../probes/verdict.ts';
import { probeParts } from './drill.ts';
import { fullDrill } from './drill-plan.ts';
import type { Part } from './parts.ts';
import { withEnforcer } from './with-enforcer.ts';

export type LoadName = 'chat' | 'gift' | 'seat' | 'hls' | 'leaderboard';

/** What `trollfix load` asks of one probe. */
export interface LoadRequest extends LoadPlan, Pick<SeatPlan, 'active'> {
  /** Rooms the users are spread over; only chat has them. */
  readonly rooms: number;
  /** The Realtime quota that the target is known to enforce. */
  readonly quota: NonNullable<ChatProbeOptions['quota']> | null;
  /** In k6's grammar, beside the probe's own. */
  readonly thresholds: readonly string[];
}

const metrics: Readonly<Record<LoadName, MetricCatalogue>> = {
  chat: chatMetrics,
  gift: giftMetrics,
  seat: { ...seatMetrics, ...stormMetrics },
  hls: hlsMetrics,
  leaderboard: leaderboardMetrics,
};

/** Reads thresholds before anything is started. @throws TF-LOAD-003 for one that cannot be read */
export function checkThresholds(name: LoadName, thresholds: readonly string[]): void {
  readThresholds(metrics[name], [], thresholds);
}

/** What runs for a load of that name: its probe with this request as the plan, and beside it what only load has. */
export function loadParts(name: LoadName, request: LoadRequest): Part[] {
  if (name === 'seat') return seatParts(request);
  return [probeParts({ ...fullDrill, [name]: request })[name]];
}

/** Beside a storm those who are revoked in peace are only what it is compared with. */
const peacefulVictims = 40;

/** Victims in peace and every way back, as in the drill; then the crowd and its storm. */
function seatParts({ active = 0, thresholds, ...request }: LoadRequest): Part[] {
  const isStorm = (text: string) => text.trimStart().startsWith('seat_storm_');
  const users = Math.min(request.users, peacefulVictims);
  const peaceful = {
    ...request,
    users,
    durationMs: 0,
    active,
    thresholds: thresholds.filter((text) => !isStorm(text)),
  };
  const storm = { ...request, active, thresholds: thresholds.filter(isStorm) };
  return [
    probeParts({ ...fullDrill, seat: peaceful }).seat,
    {
      name: 'storm',
      owes: [{ id: stormId, title: stormTitle, unit: 'ms' }],
      run: (context) => withEnforcer(context, () => runStormProbe(context, storm)),
    },
  ];
}

/** What `load` does when it is not told otherwise: as in the full drill, and for seats a crowd to speak of. */
export const loadDefaults: Readonly<Record<LoadName, LoadPlan & Pick<SeatPlan, 'active'>>> = {
  ...fullDrill,
  // joins that two cores take without queueing, and long enough for single revocations beside them
  seat: { ...fullDrill.seat, ratePerS: 50, durationMs: 10_000, active: 3 },
};
