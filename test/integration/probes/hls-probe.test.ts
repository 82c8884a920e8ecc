import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { packageRoot } from '../../../src/kernel/package-root.ts';
import type { HlsFault } from '../../../src/local/hls/faults.ts';
import { type HlsOrigin, startHlsOrigin } from '../../../src/local/hls/origin.ts';
import { runHlsProbe } from '../../../src/probes/hls/hls-probe.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { bareTarget, calm, probeContext } from './probe-context.ts';

const origins: HlsOrigin[] = [];
afterEach(async () => {
  await Promise.all(origins.splice(0).map((origin) => origin.stop()));
});

async function startOrigin(): Promise<HlsOrigin> {
  const origin = await startHlsOrigin({
    host: '127.0.0.1',
    port: 0,
    mediaDir: join(packageRoot, 'src/local/hls-media'),
    epochMs: Date.now() - 9000,
    bitsPerS: null,
  });
  origins.push(origin);
  return origin;
}

async function watch(fault: HlsFault | undefined, viewers: number, durationMs: number) {
  const origin = await startOrigin();
  // the fault comes while viewers watch a stream they know as healthy
  const timer = setTimeout(() => fault && origin.inject(fault), 2500);
  // Every second answer is then the old one. Viewers of two renditions alternate too, so that those of one would meet
  // nothing but old answers, and rightly call it stale: watch a single rendition, by its media playlist.
  const isRegress = fault?.kind === 'regress-sequence';
  const url = isRegress ? origin.url.replace('master.m3u8', 'low/playlist.m3u8') : origin.url;
  const ctx = probeContext(bareTarget(origin.url, { hls: { url } }));
  const { measurements } = await runHlsProbe(ctx, {
    ...calm,
    users: viewers,
    connections: 64,
    rampMs: 1000,
    durationMs,
  });
  clearTimeout(timer);
  for (const measurement of measurements) measurementSchema.parse(measurement);
  const [startup, held] = measurements;
  // safe: that is what the probe writes there
  const rules = (held!.details.rules as Array<{ rule: string }>).map((entry) => entry.rule);
  const failed = held!.thresholds.filter((threshold) => !threshold.ok).map((threshold) => threshold.metric);
  return { startup: startup!, held: held!, rules, failed, stats: origin.stats() };
}

test('a healthy stream holds all its viewers, breaks no rule, and is parsed a few times only', async () => {
  const { startup, held, rules, failed } = await watch(undefined, 300, 7000);
  expect(rules).toEqual([]);
  expect(failed).toEqual([]);
  expect(startup.samples).toBe(300);
  expect(startup.counts).toMatchObject({ offered: 300, ok: 300, errors: 0, timeouts: 0 });
  expect(held.value).toBe(300);
  expect(held.counts).toMatchObject({ joined: 300, held: 300, gaveUp: 0, failedLoads: 0, failedSegments: 0 });
  expect(held.counts.reloadsIssued).toBe(held.counts.reloadsDue);
  // target duration 2 s: each of 300 viewers reloads some three times
  expect(held.counts.reloadsIssued).toBeGreaterThan(600);
  expect(held.counts.parses! / held.counts.reloadsIssued!).toBeLessThan(0.05);
  expect(held.details.renditions).toBe(2);
  expect(held.thresholds.every((threshold) => threshold.samples > 0)).toBe(true);
});

test('each fault of the origin is caught by exactly its check', async () => {
  const faults: Array<[string, HlsFault]> = [
    ['HLS-002', { kind: 'freeze-playlist' }],
    ['HLS-003', { kind: 'regress-sequence', segments: 2 }],
    ['HLS-005', { kind: 'drop-discontinuity' }],
    ['HLS-006', { kind: 'target-duration', seconds: 3 }],
    ['HLS-006', { kind: 'over-long-segment', seconds: 5 }],
    ['HLS-008', { kind: 'missing-segment', nth: 2 }],
    ['HLS-008', { kind: 'short-segment' }],
    ['HLS-008', { kind: 'server-error', scope: 'playlist', status: 503 }],
    ['HLS-010', { kind: 'truncated-playlist' }],
  ];
  const runs = await Promise.all(faults.map(([, fault]) => watch(fault, 10, 9000)));
  runs.forEach(({ rules, failed, held }, i) => {
    const [rule, fault] = faults[i]!;
    expect({ fault: fault.kind, rules }).toEqual({ fault: fault.kind, rules: [rule] });
    const expected = [`hls_violations{rule:${rule}}`];
    expect(failed).toEqual(rule === 'HLS-008' ? [...expected, 'hls_failed_loads'] : expected);
    expect(held.value).toBe(0);
    expect(held.reason).toContain(rule);
  });
});

test('viewers whom the master playlist turns away are missed, though those who got in watch without a fault', async () => {
  const origin = await startOrigin();
  const master = (await (await fetch(origin.url)).text()).replace(
    /^(?=[^#\s])/gm,
    new URL('.', origin.url).href,
  );
  let asked = 0;
  const door = createServer((_request, response) => {
    if (++asked % 4 === 0) response.writeHead(503).end();
    else response.writeHead(200, { 'content-type': 'application/vnd.apple.mpegurl' }).end(master);
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  try {
    // safe: it listens on a TCP port
    const url = `http://127.0.0.1:${(door.address() as AddressInfo).port}/master.m3u8`;
    const ctx = probeContext(bareTarget(origin.url, { hls: { url } }));
    const { measurements } = await runHlsProbe(ctx, { ...calm, users: 40, rampMs: 1000, durationMs: 2000 });
    expect(measurements[1]?.counts).toMatchObject({ viewers: 40, joined: 30, held: 30, failedLoads: 0 });
    expect(measurements.flatMap(({ thresholds }) => thresholds).filter(({ ok }) => !ok)).toMatchObject([
      { metric: 'hls_joined', observed: 0.75, samples: 40 },
    ]);
  } finally {
    door.close();
  }
});

test('a target without a stream is not run, with the reason', async () => {
  const { measurements } = await runHlsProbe(probeContext(bareTarget('http://127.0.0.1:9')), calm);
  expect(measurements.map((measurement) => measurement.status)).toEqual(['not_run', 'not_run']);
  expect(measurements[0]?.reason).toContain('HLS_URL');
});

test('an origin that is not there: no startup, no viewers, and it says so', async () => {
  const target = bareTarget('http://127.0.0.1:9', { hls: { url: 'http://127.0.0.1:9/live/master.m3u8' } });
  const { measurements } = await runHlsProbe(probeContext(target), { ...calm, users: 5, durationMs: 200 });
  expect(measurements.map(({ status, value }) => [status, value])).toEqual([
    ['no_data', null],
    ['no_data', null],
  ]);
  expect(measurements[0]?.counts.errors).toBe(5);
});
