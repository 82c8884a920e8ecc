import { type GeneratorHealth, generatorLimits } from '../../engine/generator-health.ts';
import type { LatencyHistogram } from '../../engine/latency-histogram.ts';
import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import type { Generator, Measurement } from '../../record/measurement.ts';
import { countMetric, generatorOf, judgeThresholds, readThresholds } from '../verdict.ts';
import type { EjectionFindings } from './ejection.ts';
import type { ReadmissionFindings } from './readmission.ts';
import { type EntrySummary, type ReadmissionSummary, summarise } from './verify.ts';

export const seatIds = { ejection: 'seat.ejection', readmission: 'seat.readmission' } as const;
export const seatTitles = { ejection: 'Seat Ejection', readmission: 'Seat Readmission' } as const;

/** What thresholds may be set on. */
export const seatMetrics: MetricCatalogue = {
  seat_ejection: 'trend',
  seat_missed: 'counter',
  seat_doors_open: 'gauge',
  seat_tokens_for_banned: 'counter',
  seat_banned_inside: 'counter',
  seat_still_publishing: 'counter',
  seat_holders_refused: 'counter',
};
const ejectionMetrics = new Set(['seat_ejection', 'seat_missed']);

/** @throws TF-LOAD-003 when a threshold cannot be read */
export function ejectionMeasurement(found: EjectionFindings, asked: readonly string[] = []): Measurement {
  const missed = found.revoked - found.ejected;
  const metrics: Metric[] = [
    { name: 'seat_ejection', value: { kind: 'trend', histogram: found.latency } },
    countMetric('seat_missed', missed, found.revoked, 0),
  ];
  const thresholds = judgeThresholds(
    readThresholds(seatMetrics, ['seat_missed: count==0'], asked),
    metrics,
    (name) => ejectionMetrics.has(name),
  );
  const latencyMs = found.latency.summary();
  const generator = found.generator === null ? null : generatorFor(found.generator);
  const healthy = generator?.healthy ?? true;
  const reason = ejectionReason(found, generator);
  return {
    id: seatIds.ejection,
    title: seatTitles.ejection,
    status: latencyMs === null ? 'no_data' : healthy ? 'measured' : 'client_limited',
    value: latencyMs?.p95 ?? null,
    unit: 'ms',
    bounds: null,
    samples: found.latency.count,
    latencyMs,
    theoretical: null,
    bottleneck: {
      kind: 'latency_bound',
      evidence: [
        `a bare removeParticipant takes p50 ${ms(found.bareRemoval, 50)}, p99 ${ms(found.bareRemoval, 99)} until the leave (n=${found.bareRemoval.count})`,
        `${found.burst.count} of ${found.burstSize} revoked by one statement: p50 ${ms(found.burst, 50)}, max ${found.burst.maxMs.toFixed(1)} ms`,
        `${found.active.latency.count} of ${found.active.asked} with media, ${found.active.byWitness} of them listed as ACTIVE: max ${found.active.latency.maxMs.toFixed(1)} ms`,
      ],
      confirmed: false,
    },
    counts: { revoked: found.revoked, ejected: found.ejected, missed, violations: missed },
    thresholds,
    generator,
    series: 'seat.ejection.ndjson',
    ...(reason === undefined ? {} : { reason }),
    details: {
      counted: 'COMMIT of the revocation sent → leave PARTICIPANT_REMOVED received; value is the p95',
      fromIntendedMs: found.fromIntended.summary(),
      burst: { victims: found.burstSize, latencyMs: found.burst.summary() },
      bareRemovalMs: found.bareRemoval.summary(),
      active: {
        asked: found.active.asked,
        connected: found.active.connected,
        byWitness: found.active.byWitness,
        unconnected: found.active.unconnected,
        connectMs: found.active.connectMs.summary(),
        ejectionMs: found.active.latency.summary(),
      },
      missed: found.missed,
    },
  };
}

/**
 * The value is how many ways back were open at the entry that clients are given; where that is a gate, none may be.
 * @throws TF-LOAD-003 when a threshold cannot be read
 */
export function readmissionMeasurement(
  found: ReadmissionFindings,
  asked: readonly string[] = [],
): Measurement {
  const summary = summarise(found);
  const { tried, open, shut, unknown, noDoor } = summary.entries[found.entry] ?? nothingTried;
  const direct = summary.entries.livekit;
  const gated = found.entry === 'gate';
  const metrics: Metric[] = [
    { name: 'seat_doors_open', value: { kind: 'gauge', value: open, samples: tried } },
    countMetric('seat_tokens_for_banned', found.tokensForBanned, found.endpointAnswers, 0),
    countMetric('seat_banned_inside', summary.bannedInside, summary.bannedJudged, 0),
    countMetric('seat_still_publishing', summary.stillPublishing, summary.losersJudged, 0),
    countMetric('seat_holders_refused', found.holdersRefused.length, tried, 0),
  ];
  const own = [
    'seat_tokens_for_banned: count==0',
    'seat_banned_inside: count==0',
    'seat_still_publishing: count==0',
    ...(gated ? ['seat_doors_open: value==0', 'seat_holders_refused: count==0'] : []),
  ];
  const thresholds = judgeThresholds(
    readThresholds(seatMetrics, own, asked),
    metrics,
    (name) => !ejectionMetrics.has(name),
  );
  const complete = tried > 0 && summary.unclear.length === 0;
  return {
    id: seatIds.readmission,
    title: seatTitles.readmission,
    status: complete ? 'measured' : tried === 0 ? 'no_data' : 'inconclusive',
    value: tried === 0 ? null : open,
    unit: 'doors open',
    bounds: null,
    samples: tried,
    latencyMs: null,
    theoretical: { value: 0, unit: 'doors open', source: 'with a gate in front of LiveKit (livekit.md §2)' },
    bottleneck: { kind: 'unknown', evidence: entryEvidence(summary), confirmed: false },
    counts: {
      attempts: found.samples.length,
      ...{ doors: tried, open, shut, unknown, noDoor },
      ...(gated && direct ? { directDoors: direct.tried, directOpen: direct.open } : {}),
      bannedInside: summary.bannedInside,
      stillPublishing: summary.stillPublishing,
      holdersRefused: found.holdersRefused.length,
      tokensForBanned: found.tokensForBanned,
      violations: found.tokensForBanned + summary.bannedInside,
    },
    thresholds,
    generator: null,
    series: 'seat.readmission.ndjson',
    ...(complete
      ? {}
      : { reason: summary.unclear.slice(0, 3).join('; ') || 'nobody could try to come back' }),
    details: {
      verdict: summary.verdict,
      entry: found.entry,
      doors: found.ways,
      sessions: found.sessions,
      holdersRefused: found.holdersRefused,
      holdersTurnedAwayAtFirst: found.refusedAtFirst,
      pastLeeway: found.pastLeeway ? 'tried' : 'not tried: `trollfix seat verify` does',
    },
  };
}

const nothingTried: EntrySummary = { tried: 0, open: 0, shut: 0, unknown: 0, noDoor: 0 };

function entryEvidence({ entries: { gate, livekit } }: ReadmissionSummary): string[] {
  return [
    ...(gate ? [`through the gate ${gate.open} of ${gate.tried} ways back let somebody in`] : []),
    ...(livekit
      ? [
          `at LiveKit itself ${livekit.open} of ${livekit.tried} did: it does not revoke tokens` +
            (gate
              ? ', so its own port must not be reachable by clients'
              : ', and there is no gate in front of it'),
        ]
      : []),
  ];
}

/**
 * The generator as far as this figure depends on it. It counts from the COMMIT that was really sent, so a start that
 * was late does not enter it (it does enter `fromIntendedMs`); a busy event loop reads the `leave` late and does.
 */
function generatorFor(health: GeneratorHealth): Generator {
  const { eventLoopDelayMsP99, eventLoopUtilisation, cpuShare } = generatorLimits;
  const reasons = [
    health.eventLoopDelayMsP99 > eventLoopDelayMsP99
      ? `event loop delay p99 ${health.eventLoopDelayMsP99.toFixed(1)} ms > ${eventLoopDelayMsP99} ms`
      : '',
    health.eventLoopUtilisation > eventLoopUtilisation
      ? `event loop busy ${(health.eventLoopUtilisation * 100).toFixed(0)} %`
      : '',
    health.cpuShare > cpuShare ? `CPU ${(health.cpuShare * 100).toFixed(0)} % of its cores` : '',
  ].filter((reason) => reason !== '');
  return { ...generatorOf(health), healthy: reasons.length === 0, reasons };
}

function ejectionReason(found: EjectionFindings, generator: Generator | null): string | undefined {
  if (found.ejected === 0) {
    const [why] = Object.keys(found.missed);
    return `nobody was ejected (${why ?? 'nobody was revoked'}): does anything carry revocations out on this target?`;
  }
  if (generator === null || generator.healthy) return undefined;
  return `the generator was the limit: ${generator.reasons?.join('; ')}`;
}

function ms(histogram: LatencyHistogram, percent: number): string {
  return `${histogram.percentileMs(percent).toFixed(1)} ms`;
}
