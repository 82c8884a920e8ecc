import { type GeneratorHealth, generatorLimits } from '../../engine/generator-health.ts';
import type { LatencyHistogram } from '../../engine/latency-histogram.ts';
import type { Metric, MetricCatalogue } from '../../engine/thresholds.ts';
import type { Generator, Measurement } from '../../record/measurement.ts';
import { countMetric, generatorOf, judgeThresholds, readThresholds } from '../verdict.ts';
import type { EjectionFindings } from './ejection.ts';
import type { ReadmissionFindings } from './readmission.ts';

export const seatIds = { ejection: 'seat.ejection', readmission: 'seat.readmission' } as const;
export const seatTitles = { ejection: 'Seat Ejection', readmission: 'Seat Readmission' } as const;

/** What thresholds may be set on. */
export const seatMetrics: MetricCatalogue = {
  seat_ejection: 'trend',
  seat_missed: 'counter',
  seat_doors_open: 'gauge',
  seat_tokens_for_banned: 'counter',
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
      missed: found.missed,
    },
  };
}

/** @throws TF-LOAD-003 when a threshold cannot be read */
export function readmissionMeasurement(
  found: ReadmissionFindings,
  asked: readonly string[] = [],
): Measurement {
  const of = (verdict: string) => found.doors.filter((door) => door.verdict === verdict).length;
  const [open, shut, unknown] = [of('open'), of('shut'), of('unknown')];
  const tried = open + shut;
  const newToken = found.doors.find(({ credential }) => credential === 'new');
  // the token endpoint was only put to the test where it answered
  const endpointSamples = newToken === undefined || newToken.verdict === 'unknown' ? 0 : newToken.attempts;
  const metrics: Metric[] = [
    { name: 'seat_doors_open', value: { kind: 'gauge', value: open, samples: tried } },
    countMetric('seat_tokens_for_banned', found.tokensForBanned, endpointSamples, 0),
  ];
  const thresholds = judgeThresholds(
    readThresholds(seatMetrics, ['seat_tokens_for_banned: count==0'], asked),
    metrics,
    (name) => !ejectionMetrics.has(name),
  );
  const verdict = open === 0 ? 'CLOSED' : found.dwellMs === null ? 'OPEN' : 'WINDOW';
  const complete = found.victims > 0 && unknown === 0;
  return {
    id: seatIds.readmission,
    title: seatTitles.readmission,
    status: complete ? 'measured' : found.victims === 0 ? 'no_data' : 'inconclusive',
    value: found.victims === 0 ? null : open,
    unit: 'doors open',
    bounds: null,
    samples: tried,
    latencyMs: null,
    theoretical: { value: 0, unit: 'doors open', source: 'with a gate in front of LiveKit (livekit.md §2)' },
    bottleneck: {
      kind: 'unknown',
      evidence: [
        `${open} of ${tried} doors let ejected users back in: livekit-server does not revoke tokens`,
        found.dwellMs === null
          ? `somebody who came back was not removed within ${found.dwellWaitedMs} ms`
          : `somebody who came back was removed after ${found.dwellMs.toFixed(0)} ms`,
      ],
      confirmed: false,
    },
    counts: {
      victims: found.victims,
      attempts: found.doors.reduce((sum, { attempts }) => sum + attempts, 0),
      doors: tried,
      open,
      shut,
      unknown,
      tokensForBanned: found.tokensForBanned,
      violations: found.tokensForBanned,
    },
    thresholds,
    generator: null,
    series: 'seat.readmission.ndjson',
    ...(complete ? {} : { reason: `${unknown} doors did not answer; ${found.victims} victims could knock` }),
    details: { verdict, dwellMs: found.dwellMs, doors: found.doors },
  };
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
