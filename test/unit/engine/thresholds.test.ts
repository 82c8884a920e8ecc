import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../../src/engine/latency-histogram.ts';
import { comparisons, evaluateThresholds, parseThreshold } from '../../../src/engine/thresholds.ts';
import { TrollfixError } from '../../../src/kernel/errors.ts';

function failureOf(work: () => unknown): TrollfixError {
  try {
    work();
  } catch (error) {
    if (error instanceof TrollfixError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('reads what k6 reads', () => {
  expect(parseThreshold('chat_rtt: p(99)<250')).toMatchObject({
    metric: 'chat_rtt',
    method: 'p',
    percent: 99,
    comparison: '<',
    limit: 250,
    expr: 'p(99)<250',
  });
  expect(parseThreshold('errors:rate<=0.01')).toMatchObject({ method: 'rate', limit: 0.01 });
  expect(parseThreshold(' x{room: vip , kind:"raw"} : p( 99.9 ) >= 1e2 ')).toMatchObject({
    metric: 'x{room:vip,kind:"raw"}',
    tags: { room: 'vip', kind: 'raw' },
    percent: 99.9,
    limit: 100,
  });
  expect(parseThreshold('x: med<1.5s').limit).toBe(1500);
  expect(parseThreshold('x: max<800us').limit).toBeCloseTo(0.8);
});

test('whatever is written by the grammar is read back', () => {
  const method = fc.oneof(
    fc.constantFrom('count', 'rate', 'value', 'avg', 'min', 'max', 'med'),
    fc.double({ min: 0, max: 100, noNaN: true }).map((n) => `p(${n})`),
  );
  const name = fc.stringMatching(/^[a-z_][a-z0-9_.]{0,12}$/);
  fc.assert(
    fc.property(
      name,
      method,
      fc.constantFrom(...comparisons),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      (metric, how, comparison, limit) => {
        const read = parseThreshold(`${metric}: ${how} ${comparison} ${limit}`);
        expect(read.name).toBe(metric);
        expect(read.comparison).toBe(comparison);
        expect(read.limit).toBe(limit === 0 ? 0 : limit);
        if (how.startsWith('p(')) expect(read.percent).toBe(Number(how.slice(2, -1)));
        else expect(read.method).toBe(how);
      },
    ),
  );
});

test('an arbitrary text is read or refused, never a crash', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseThreshold(text);
      } catch (error) {
        expect(error).toBeInstanceOf(TrollfixError);
      }
    }),
  );
});

test.each([
  ['chat_rtt p(99)<250', 10, 'colon'],
  ['chat_rtt: p(101)<250', 13, '0 to 100'],
  ['chat_rtt: p99<250', 11, 'expected count'],
  ['chat_rtt: p(99)=<250', 16, 'expected one of'],
  ['chat_rtt: p(99)<fast', 17, 'expected a number'],
  ['chat_rtt: p(99)<250 ms please', 21, 'nothing may follow'],
  ['chat_rtt: p(99)<250parsec', 20, 'no unit of time'],
  ['chat_rtt{room}: p(99)<1', 10, '{name:value}'],
])('%s is refused at column %i', (text, column, words) => {
  const error = failureOf(() => parseThreshold(text));
  expect(error.code).toBe('TF-LOAD-003');
  expect(error.message).toContain(words);
  expect(error.details?.column).toBe(column);
});

test('a metric or method that does not exist is refused before anything runs, with the nearest name', () => {
  const catalogue = { chat_rtt: 'trend', chat_lost: 'counter' } as const;
  expect(failureOf(() => parseThreshold('chat_rt: p(99)<1', catalogue)).message).toContain('"chat_rtt"');
  expect(failureOf(() => parseThreshold('chat_lost: p(99)<1', catalogue)).message).toContain('count, rate');
  expect(failureOf(() => parseThreshold('constructor: value<1', catalogue)).code).toBe('TF-LOAD-003');
});

test('judges with the observed value and the samples beside the verdict', () => {
  const [fast, slow] = [new LatencyHistogram(), new LatencyHistogram()];
  for (let i = 0; i < 100; i++) fast.recordMs(10);
  for (let i = 0; i < 100; i++) slow.recordMs(500);
  const metrics = [
    { name: 'rtt', tags: { room: 'a' }, value: { kind: 'trend', histogram: fast } },
    { name: 'rtt', tags: { room: 'b' }, value: { kind: 'trend', histogram: slow } },
    { name: 'lost', value: { kind: 'counter', count: 3, elapsedMs: 2000, samples: 100 } },
    { name: 'ok', value: { kind: 'rate', hits: 99, samples: 100 } },
    { name: 'viewers', value: { kind: 'gauge', value: 12, samples: 1 } },
  ] as const;
  const judge = (text: string) => evaluateThresholds([parseThreshold(text)], metrics)[0]!;
  expect(judge('rtt{room:a}: p(99)<50')).toMatchObject({ ok: true, samples: 100, metric: 'rtt{room:a}' });
  expect(judge('rtt: p(99)<50')).toMatchObject({ ok: false, samples: 200 });
  expect(judge('rtt: med<50')).toMatchObject({ ok: true, samples: 200 });
  expect(judge('lost: count==0')).toMatchObject({ ok: false, observed: 3 });
  expect(judge('lost: rate<2')).toMatchObject({ ok: true, observed: 1.5 });
  expect(judge('ok: rate>0.98')).toMatchObject({ ok: true, observed: 0.99 });
  expect(judge('viewers: value>=12')).toMatchObject({ ok: true, observed: 12 });
  // judging does not change what was recorded
  expect(fast.count).toBe(100);
});

test('a threshold over nothing fails with no data', () => {
  const metrics = [
    { name: 'rtt', value: { kind: 'trend', histogram: new LatencyHistogram() } },
    { name: 'lost', value: { kind: 'counter', count: 0, elapsedMs: 1000, samples: 0 } },
  ] as const;
  for (const text of ['rtt: p(99)<250', 'lost: count==0', 'rtt{room:x}: max<1', 'other: value<1']) {
    expect(evaluateThresholds([parseThreshold(text)], metrics)[0]).toMatchObject({
      ok: false,
      observed: null,
      samples: 0,
      reason: 'no data',
    });
  }
});
