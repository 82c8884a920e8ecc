import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { afterEach, expect, test } from 'vitest';
import { constantArrivals } from '../../../src/engine/constant-arrivals.ts';
import type { IntervalRow } from '../../../src/engine/load-result.ts';
import { type Operation, runOpenLoop } from '../../../src/engine/open-loop.ts';
import { promiseOperation } from '../../../src/engine/promise-operation.ts';
import { rampArrivals } from '../../../src/engine/ramp-arrivals.ts';

const releases: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
});

async function echoServer(answer: (respond: (status: number) => void, index: number) => void) {
  let requests = 0;
  const server: Server = createServer((_req, res) => {
    answer((status) => res.writeHead(status).end('ok'), requests++);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // safe: a listening TCP server has an address with a port
  const { port } = server.address() as AddressInfo;
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64 });
  releases.push(async () => {
    await pool.destroy();
    server.closeAllConnections();
    server.close();
  });
  const operation = promiseOperation(async () => {
    const { statusCode, body } = await pool.request({ path: '/', method: 'GET' });
    await body.dump();
    return statusCode === 200 ? 'ok' : { outcome: 'rejected', reason: `http ${statusCode}` };
  });
  return { operation, requests: () => requests };
}

const forever = () => new AbortController().signal;

test('every arrival is begun, answered and counted exactly once', async () => {
  const server = await echoServer((respond, index) => respond(index % 10 === 9 ? 429 : 200));
  const rows: IntervalRow[] = [];
  const result = await runOpenLoop({
    arrivals: constantArrivals(200),
    durationMs: 1500,
    operation: server.operation,
    timeoutMs: 5000,
    signal: forever(),
    onInterval: (row) => rows.push(row),
  });
  expect(server.requests()).toBe(300);
  expect(result.counts).toMatchObject({
    offered: 300,
    sent: 300,
    ok: 270,
    rejected: 30,
    errors: 0,
    timeouts: 0,
  });
  expect(result.counts.unsent).toBe(0);
  expect(result.reasons).toEqual({ 'http 429': 30 });
  expect(result.latency.intendedToAnswer.count).toBe(270);
  expect(result.latency.intendedToSend.count).toBe(300);
  expect(rows.reduce((sum, row) => sum + row.ok, 0)).toBe(270);
  expect(rows.reduce((sum, row) => sum + row.offered, 0)).toBe(300);
  expect(result.offeredPerS).toBeCloseTo(200, 5);
  expect(result.interrupted).toBe(false);
});

test('a server that stalls shows in the latency from the intended start of all that came due meanwhile', async () => {
  let stalled = true;
  const waiting: Array<() => void> = [];
  const timer = setTimeout(() => {
    stalled = false;
    for (const respond of waiting.splice(0)) respond();
  }, 600);
  releases.push(async () => clearTimeout(timer));
  // one connection in the pool's view: the requests queue behind the stall, as in a real client
  const server = await echoServer((respond) => (stalled ? waiting.push(() => respond(200)) : respond(200)));
  const result = await runOpenLoop({
    arrivals: constantArrivals(100),
    durationMs: 1200,
    operation: server.operation,
    timeoutMs: 5000,
    signal: forever(),
  });
  expect(result.counts).toMatchObject({ offered: 120, ok: 120, unsent: 0 });
  // half of the arrivals came due during the stall and waited 300 ms on average: a closed loop would show one
  expect(result.latency.intendedToAnswer.countAboveMs(250)).toBeGreaterThan(25);
  expect(result.latency.sendToAnswer.countAboveMs(250)).toBeGreaterThan(25);
});

test('a stalled generator is unhealthy, and its delay is in the intended latency, not in the service time', async () => {
  const blockAt = new Set([20, 60, 100]);
  const operation: Operation = (token, index, _intendedMs, settle) => {
    if (blockAt.has(index)) {
      const until = performance.now() + 150;
      while (performance.now() < until);
    }
    setImmediate(() => settle(token, 'ok'));
  };
  const result = await runOpenLoop({
    arrivals: constantArrivals(100),
    durationMs: 1500,
    operation,
    timeoutMs: 5000,
    signal: forever(),
  });
  expect(result.counts).toMatchObject({ offered: 150, ok: 150 });
  expect(result.generator.healthy).toBe(false);
  expect(result.generator.lateRatio).toBeGreaterThan(0.1);
  expect(result.generator.reasons?.join()).toContain('late');
  expect(result.latency.intendedToAnswer.countAboveMs(50)).toBeGreaterThan(15);
});

test('a server that never answers: timeouts are counted, none is dropped silently, tables are freed', async () => {
  const late: Array<() => void> = [];
  const operation: Operation = (token, index, _intendedMs, settle) => {
    if (index % 2 === 0) settle(token, 'ok');
    else late.push(() => settle(token, 'ok'));
  };
  const result = await runOpenLoop({
    arrivals: constantArrivals(1000),
    durationMs: 500,
    operation,
    timeoutMs: 60,
    signal: forever(),
  });
  expect(result.counts).toMatchObject({ offered: 500, ok: 250, timeouts: 250, unfinished: 0, unsent: 0 });
  expect(result.latency.intendedToAnswer.countAboveMs(55)).toBe(250);
  // an answer after the run is over changes nothing
  for (const answer of late) answer();
  expect(result.counts.ok).toBe(250);
});

test('with no room for more waiting operations arrivals are held back, said so, and counted', async () => {
  const result = await runOpenLoop({
    arrivals: constantArrivals(1000),
    durationMs: 300,
    operation: () => {},
    timeoutMs: 200,
    signal: forever(),
    maxInFlight: 10,
  });
  const { offered, sent, timeouts, unsent } = result.counts;
  expect(offered).toBe(300);
  expect(sent + unsent).toBe(300);
  expect(timeouts).toBe(sent);
  expect(unsent).toBeGreaterThan(0);
  expect(result.generator.healthy).toBe(false);
  expect(result.generator.reasons?.join()).toContain('held back');
});

test('the ramp is in every count, and the rates are those of the steady part after it', async () => {
  const result = await runOpenLoop({
    arrivals: rampArrivals({ fromPerS: 0, toPerS: 200, rampMs: 500 }),
    durationMs: 1000,
    warmupMs: 500,
    // what comes in the ramp is refused: it must not show in the steady rate
    operation: (token, index, _intendedMs, settle) => settle(token, index < 50 ? 'rejected' : 'ok'),
    timeoutMs: 1000,
    signal: forever(),
  });
  expect(result.counts).toMatchObject({ offered: 150, ok: 100, rejected: 50 });
  expect(result.offeredPerS).toBeCloseTo(200, 5);
  expect(result.achievedPerS).toBeGreaterThan(150);
  expect(result.achievedPerS).toBeLessThanOrEqual(200);
});

test('two shares of one schedule add up to the whole', async () => {
  const seen: number[] = [];
  const shares = [0, 1, 2].map((worker) =>
    runOpenLoop({
      arrivals: constantArrivals(500),
      durationMs: 200,
      operation: (token, index, _intendedMs, settle) => {
        seen.push(index);
        settle(token, 'ok');
      },
      timeoutMs: 1000,
      signal: forever(),
      share: { worker, of: 3 },
    }),
  );
  const results = await Promise.all(shares);
  expect(results.map((result) => result.counts.offered)).toEqual([34, 33, 33]);
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

test('an interruption stops the load within a second and everything begun is accounted for', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('Ctrl-C')), 200);
  const startedMs = performance.now();
  const result = await runOpenLoop({
    arrivals: constantArrivals(200),
    durationMs: 60_000,
    operation: (token, index, _intendedMs, settle) => {
      if (index % 4 !== 0) settle(token, 'ok');
    },
    timeoutMs: 30_000,
    signal: controller.signal,
  });
  expect(performance.now() - startedMs).toBeLessThan(5000);
  const { offered, sent, ok, unfinished } = result.counts;
  expect(result.interrupted).toBe(true);
  expect(sent).toBe(offered);
  expect(ok + unfinished).toBe(sent);
  expect(unfinished).toBeGreaterThan(0);
});

test('an operation that throws or rejects is an error with its reason; reasons are bounded', async () => {
  const result = await runOpenLoop({
    arrivals: constantArrivals(1000),
    durationMs: 100,
    operation: (token, index, intendedMs, settle) => {
      if (index < 50) throw new Error(`thrown ${index}`);
      promiseOperation(() => Promise.reject(new Error('rejected')))(token, index, intendedMs, settle);
    },
    timeoutMs: 1000,
    signal: forever(),
  });
  expect(result.counts).toMatchObject({ offered: 100, errors: 100, ok: 0 });
  expect(Object.keys(result.reasons)).toHaveLength(33);
  expect(result.reasons.other).toBe(18 + 50);
  expect(result.latency.intendedToAnswer.count).toBe(0);
});
