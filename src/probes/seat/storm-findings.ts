import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import type { Measurement } from '../../record/measurement.ts';
import { countMetric, generatorOf, judgeThresholds, readThresholds } from '../verdict.ts';
import type { StormFindings } from './storm.ts';

export const stormId = 'seat.storm';
export const stormTitle = 'Seat Storm';

/** What thresholds may be set on. */
export const stormMetrics: MetricCatalogue = {
  seat_storm_join: 'trend',
  seat_storm_single: 'trend',
  seat_storm_ejection: 'trend',
  seat_storm_active_ejection: 'trend',
  seat_storm_turned_away: 'counter',
  seat_storm_missed: 'counter',
  seat_storm_still_in: 'counter',
  seat_storm_lost: 'counter',
  seat_storm_legit_ejected: 'counter',
};

const own = [
  'seat_storm_turned_away: count==0',
  'seat_storm_missed: count==0',
  'seat_storm_still_in: count==0',
  'seat_storm_lost: count==0',
  'seat_storm_legit_ejected: count==0',
];

/**
 * What the storm came to: the value is the p95 of those revoked at once. Its latencies are counted in the process
 * that also holds the whole crowd, which can only make them longer: where it was busy they are an upper bound.
 * @throws TF-LOAD-003 when a threshold cannot be read
 */
export function stormMeasurement(found: StormFindings, asked: readonly string[] = []): Measurement {
  const counts = countsOf(found);
  const thresholds = judgeThresholds(readThresholds(stormMetrics, own, asked), metricsOf(found), () => true);
  const latencyMs = found.storm.signal.summary();
  const { healthy, reasons } = found.generator;
  const complete = latencyMs !== null && found.activeByWitness >= found.joined.active;
  return {
    id: stormId,
    title: stormTitle,
    status: latencyMs === null ? 'no_data' : healthy ? 'measured' : 'estimate',
    value: latencyMs?.p95 ?? null,
    unit: 'ms',
    bounds: null,
    samples: found.storm.signal.count,
    latencyMs,
    theoretical: null,
    bottleneck: {
      kind: 'latency_bound',
      evidence: [
        `${counts.joined} people in ${found.rooms} room${found.rooms === 1 ? '' : 's'}, ${counts.active} of them with media; ${found.recycled} times somebody joined anew`,
        `one by one while the crowd was held: p50 ${ms(found, 'single', 50)}, p99 ${ms(found, 'single', 99)} (n=${found.single.count})`,
        `at once, with media: p50 ${ms(found, 'active', 50)}, max ${ms(found, 'active', 100)} (n=${found.storm.active.count})`,
        found.witnessCleanMs === null
          ? `the witness still saw ${found.stillInRoom} of the revoked when it gave up`
          : `the witness saw none of the revoked ${found.witnessCleanMs.toFixed(0)} ms after the commit`,
      ],
      confirmed: false,
    },
    counts,
    thresholds,
    generator: generatorOf(found.generator),
    series: 'seat.storm.ndjson',
    ...reasonOf(found, complete, reasons),
    details: {
      counted:
        'COMMIT of the revocation sent → leave PARTICIPANT_REMOVED received; value is the p95 of those revoked at once',
      rooms: found.rooms,
      joinMs: { signal: found.joinMs.signal.summary(), active: found.joinMs.active.summary() },
      singleMs: found.single.summary(),
      stormMs: { signal: found.storm.signal.summary(), active: found.storm.active.summary() },
      witnessCleanMs: found.witnessCleanMs,
      turnedAway: found.turnedAway,
      missed: found.missed,
      lost: found.lost,
    },
  };
}

function countsOf(found: StormFindings) {
  const sum = (numbers: Readonly<Record<string, number>>) =>
    Object.values(numbers).reduce((total, count) => total + count, 0);
  const missed = sum(found.missed);
  const lost = sum(found.lost);
  return {
    joined: found.joined.signal + found.joined.active,
    active: found.joined.active,
    activeByWitness: found.activeByWitness,
    turnedAway: sum(found.turnedAway),
    recycled: found.recycled,
    unseen: found.unseen,
    revoked: found.revoked,
    ejected: found.ejected,
    cut: found.cut,
    missed,
    stillInRoom: found.stillInRoom,
    lost,
    legit: found.legit,
    legitEjected: found.legitEjected,
    legitUnseen: found.legitUnseen,
    violations: missed + found.stillInRoom + found.legitEjected,
  };
}

function metricsOf(found: StormFindings): Metric[] {
  const { turnedAway, missed, stillInRoom, lost, legitEjected, joined } = countsOf(found);
  return [
    { name: 'seat_storm_join', value: { kind: 'trend', histogram: found.joinMs.signal } },
    { name: 'seat_storm_single', value: { kind: 'trend', histogram: found.single } },
    { name: 'seat_storm_ejection', value: { kind: 'trend', histogram: found.storm.signal } },
    { name: 'seat_storm_active_ejection', value: { kind: 'trend', histogram: found.storm.active } },
    countMetric('seat_storm_turned_away', turnedAway, joined + turnedAway, 0),
    countMetric('seat_storm_missed', missed, found.revoked, 0),
    countMetric('seat_storm_still_in', stillInRoom, found.revoked, 0),
    countMetric('seat_storm_lost', lost, joined, 0),
    countMetric('seat_storm_legit_ejected', legitEjected, found.legit, 0),
  ];
}

function reasonOf(
  found: StormFindings,
  complete: boolean,
  busy: readonly string[],
): { readonly reason?: string } {
  if (found.storm.signal.count === 0) {
    const [why] = [...Object.keys(found.missed), ...Object.keys(found.turnedAway)];
    return { reason: `nobody was ejected (${why ?? 'nobody joined'}): does anything carry revocations out?` };
  }
  if (!complete) {
    const { active } = found.joined;
    return { reason: `LiveKit listed ${found.activeByWitness} of ${active} with media as ACTIVE` };
  }
  return busy.length === 0 ? {} : { reason: `an upper bound, this process was busy: ${busy.join('; ')}` };
}

function ms({ single, storm }: StormFindings, which: 'single' | 'active', percent: number): string {
  const histogram = which === 'single' ? single : storm.active;
  return histogram.count === 0 ? 'no data' : `${histogram.percentileMs(percent).toFixed(1)} ms`;
}
