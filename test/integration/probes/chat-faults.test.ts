import { afterEach, expect, test } from 'vitest';
import { runChatProbe } from '../../../src/probes/chat/chat-probe.ts';
import type { Measurement } from '../../../src/record/measurement.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { type FaultyRelay, type RelayFault, startFaultyRelay, swallowed } from './faulty-relay.ts';
import { bareTarget, calm, probeContext } from './probe-context.ts';

let relay: FaultyRelay | undefined;
afterEach(async () => {
  await relay?.stop();
  relay = undefined;
});

// 100 messages in 2 s, one room of 6: each is for 5 receivers, 500 deliveries in all
const plan = { ...calm, connections: 6, officialClients: 2, deliveryTimeoutMs: 700 };

async function runAgainst(fault: RelayFault, refuse?: (message: number) => string | undefined) {
  relay = await startFaultyRelay(fault, refuse);
  const ctx = probeContext(bareTarget(relay.url));
  const { measurements } = await runChatProbe(ctx, plan);
  for (const measurement of measurements) measurementSchema.parse(measurement);
  const [throughput, latency] = measurements;
  return { throughput: throughput!, latency: latency!, ctx, planted: relay.planted };
}

function failedInvariants(measurement: Measurement): string[] {
  return measurement.thresholds.filter((threshold) => !threshold.ok).map((threshold) => threshold.metric);
}

test('a relay that does its work: everything is delivered, and every invariant has samples', async () => {
  const { throughput, latency, ctx } = await runAgainst(() => 'deliver');
  expect(throughput.counts).toMatchObject({
    offered: 100,
    sent: 100,
    ok: 100,
    delivered: 500,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    unknown: 0,
    unexpected: 0,
  });
  expect(failedInvariants(throughput)).toEqual([]);
  expect(throughput.thresholds.every((threshold) => threshold.samples > 0)).toBe(true);
  expect(['estimate', 'client_limited']).toContain(throughput.status);
  expect(throughput.value).toBeGreaterThan(0);
  expect(latency.samples).toBe(500);
  // two of six members use supabase-js: 400 of the deliveries went to the raw ones
  expect(throughput.details.officialClient).toMatchObject({ lost: 0, disagreements: 0 });
  expect(ctx.rows.get('chat.throughput.ndjson')).toBeGreaterThan(0);
});

test('lost deliveries are counted exactly and fail the invariant', async () => {
  const { throughput, planted } = await runAgainst((message, receiver) =>
    message % 10 === 3 && receiver === 4 ? 'drop' : 'deliver',
  );
  // the sender itself is no receiver: every tenth message, less those that member 4 sent itself
  expect(planted.dropped).toBeGreaterThan(5);
  expect(throughput.counts.lost).toBe(planted.dropped);
  expect(throughput.counts.ok).toBe(100 - planted.dropped);
  expect(throughput.counts.timeouts).toBe(planted.dropped);
  expect(throughput.details.receiversWithLoss).toBe(1);
  expect(failedInvariants(throughput)).toEqual(['chat_lost', 'chat_disagreement']);
});

test('duplicated deliveries are counted exactly and fail the invariant', async () => {
  const { throughput, planted } = await runAgainst((message) =>
    message % 7 === 0 ? 'duplicate' : 'deliver',
  );
  expect(planted.duplicated).toBe(15 * 5);
  expect(throughput.counts.duplicated).toBe(planted.duplicated);
  expect(throughput.counts).toMatchObject({ delivered: 500, lost: 0, reordered: 0 });
  expect(failedInvariants(throughput)).toEqual(['chat_duplicated']);
});

test('reordered deliveries are counted exactly and fail the invariant', async () => {
  // member 5 gets message 12 (sender 0) only after message 18 (sender 0), and 13…17 of others, which is no disorder
  const { throughput } = await runAgainst((message, receiver) =>
    receiver === 5 && message >= 12 && message < 18 && message % 6 === 0 ? 'hold' : 'deliver',
  );
  // held behind message 13 of another sender: order between senders is not promised
  expect(throughput.counts).toMatchObject({ delivered: 500, lost: 0, reordered: 0 });
  await relay?.stop();
  // now every message of the one sender that counts: a sender's 12 behind its own 18 and 24
  let released = false;
  const again = await runAgainst((message, receiver) => {
    if (receiver !== 5 || released) return 'deliver';
    if (message === 12) return 'hold';
    if (message > 12 && message < 24) return 'drop';
    if (message === 24) released = true;
    return 'deliver';
  });
  expect(again.throughput.counts.reordered).toBe(1);
  expect(again.throughput.counts.lost).toBe(again.planted.dropped);
  expect(failedInvariants(again.throughput)).toContain('chat_reordered');
});

test('refused messages are rejected, not lost', async () => {
  const { throughput } = await runAgainst(
    () => 'deliver',
    (message) => (message % 4 === 0 ? 'payload_size_exceeded' : undefined),
  );
  expect(throughput.counts).toMatchObject({ ok: 75, lost: 0, unexpected: 0, delivered: 375 });
  expect(throughput.counts.rejected! + throughput.counts.errors!).toBe(25);
  expect(failedInvariants(throughput)).toEqual([]);
});

test('messages that vanish without an answer are no loss anybody can prove, and no pass either', async () => {
  const { throughput } = await runAgainst(
    () => 'deliver',
    (message) => (message % 10 === 3 ? swallowed : undefined),
  );
  expect(throughput.counts).toMatchObject({ offered: 100, ok: 90, timeouts: 10, lost: 0, unknown: 50 });
  const failed = throughput.thresholds.filter((threshold) => !threshold.ok);
  expect(failed).toMatchObject([{ metric: 'chat_unanswered', observed: 10, samples: 100 }]);
});

test.each([
  ['Too many messages per second', 'rate_limit', []],
  ['', 'unknown', ['chat_cut_off']],
])(
  'a member cut off with "%s": nothing is called lost, and nothing confirmed that did not reach all',
  async (reason, kind, failed) => {
    relay = await startFaultyRelay(() => 'deliver', undefined, { message: 50, receiver: 4, reason });
    const { measurements } = await runChatProbe(probeContext(bareTarget(relay.url)), plan);
    const throughput = measurements[0]!;
    // the first fifty reached all; the message it was cut at was meant for it and is in doubt; no later one can
    expect(throughput.counts).toMatchObject({ ok: 50, lost: 0, offered: 100 });
    expect(throughput.counts.unknown).toBeGreaterThanOrEqual(1);
    expect(throughput.details.receiversCut).toBe(1);
    if (throughput.generator?.healthy) expect(throughput.bottleneck.kind).toBe(kind);
    expect(failedInvariants(throughput)).toEqual(failed);
  },
);

test('a threshold of the plan is judged, and one that names nothing is refused before anything starts', async () => {
  relay = await startFaultyRelay(() => 'deliver');
  const ctx = probeContext(bareTarget(relay.url));
  await expect(runChatProbe(ctx, { ...plan, thresholds: ['chat_rt: p(99)<5'] })).rejects.toMatchObject({
    code: 'TF-LOAD-003',
  });
  const { measurements } = await runChatProbe(ctx, {
    ...plan,
    durationMs: 300,
    thresholds: ['chat_rtt{client:raw}: p(50)<0.000001ms', 'chat_rtt{transport:database}: p(50)<1s'],
  });
  expect(measurements[1]?.thresholds).toMatchObject([
    { metric: 'chat_rtt{client:raw}', ok: false },
    { metric: 'chat_rtt{transport:database}', ok: false, reason: 'no data' },
  ]);
});
