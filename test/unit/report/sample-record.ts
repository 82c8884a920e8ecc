import type { MatrixRow } from '../../../src/record/matrix-row.ts';
import { type Measurement, notRun } from '../../../src/record/measurement.ts';
import type { RunRecord } from '../../../src/record/run-record.ts';

/** A record made by hand, with one of everything a report has to show. */
export function sampleRecord(changes: Partial<RunRecord> = {}): RunRecord {
  return {
    schema: 'trollfix.run/v1',
    runId: '2026-11-24T00-30-12Z-7f3a',
    command: 'drill',
    startedAt: '2026-11-24T00:30:12.000Z',
    finishedAt: '2026-11-24T00:32:42.000Z',
    ok: true,
    exitCode: 0,
    tool: { version: '0.1.0', node: '24.21.0', commit: 'abc1234' },
    machine: {
      cpus: 2,
      cpuModel: 'Example CPU @ 2.5GHz',
      memoryBytes: 8 * 2 ** 30,
      os: 'Linux 6.1 x64',
      fingerprint: '0123456789abcdef',
    },
    target: {
      name: 'embedded',
      kind: 'embedded',
      host: '127.0.0.1',
      services: { postgres: '17.10', livekit: '1.11.0' },
      labels: ['The gateway is ours, not the hosted Realtime.'],
    },
    seed: 42,
    config: {},
    status: [
      {
        priority: 'P0',
        component: 'Security',
        feature: 'Hard Revocation',
        status: 'verified',
        method: 'Revoked while in the room.',
        evidence: ['seat.ejection: held'],
      },
    ],
    measurements: [
      chatThroughput(),
      seatEjection(),
      notRun('hls.viewers', 'HLS Viewers', 'viewers', 'no HLS url'),
    ],
    matrix: [insufficientFunds()],
    nextSteps: [{ text: 'Watch `backlog_count`.', because: 'gifts came in at 427/s.' }],
    artifacts: [{ path: 'chat.throughput.ndjson', kind: 'series', sha256: 'f'.repeat(64) }],
    ...changes,
  };
}

function chatThroughput(): Measurement {
  const { reason: _, ...base } = notRun('chat.throughput', 'Chat Throughput', 'msg/s', '');
  return {
    ...base,
    status: 'measured',
    value: 59,
    bounds: { good: 58.1, bad: 60 },
    samples: 11_800,
    latencyMs: { p50: 4.2, p90: 8, p95: 12.5, p99: 31, p999: 80, max: 120 },
    theoretical: { value: 100, unit: 'msg/s', source: 'plan | free' },
    bottleneck: { kind: 'rate_limit', evidence: ['refused at 60/s:\ntoo many messages'], confirmed: true },
    counts: { offered: 12_000, delivered: 11_800, lost: 0 },
    thresholds: [
      { metric: 'chat_rtt', expr: 'p(99)<250', observed: 31, samples: 11_800, ok: true },
      { metric: 'chat_lost', expr: 'count==0', observed: null, samples: 0, ok: false, reason: 'no data' },
    ],
    generator: { workers: 1, cpuSeconds: 3.2, eventLoopDelayMsP99: 11, lateRatio: 0.002, healthy: true },
    series: 'chat.throughput.ndjson',
  };
}

function seatEjection(): Measurement {
  const { reason: _, ...base } = notRun('seat.ejection', 'Seat Ejection', 'ms', '');
  return {
    ...base,
    status: 'measured',
    value: 84,
    samples: 20,
    latencyMs: { p50: 84, p90: 90, p95: 95, p99: 99, p999: 99, max: 99 },
    bottleneck: { kind: 'latency_bound', evidence: [], confirmed: false },
  };
}

function insufficientFunds(): MatrixRow {
  return {
    id: 'insufficient-funds',
    scenario: 'Insufficient Funds',
    expected: 'failed, no money moved',
    observed: '20 of 20 gifts `failed` <b>0</b> | coins moved',
    remediation: '`process_gift_ledger_batch` handles it.',
    verdict: 'pass',
    fault: null,
    load: { offered: 20, achieved: 20, samples: 20 },
    steadyState: { before: {}, during: {}, after: {} },
    detectionMs: null,
    recoveryMs: null,
    invariants: [{ name: 'money is conserved', checked: 20, violations: 0, details: [] }],
    repetitions: 1,
    evidence: [],
    details: {},
  };
}
