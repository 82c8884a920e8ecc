import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../../src/probes/probe.ts';
import { runTokenProbe } from '../../../src/probes/token/token-probe.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { type SeatStage, startSeatStage } from './seat-stage.ts';
import type { EndpointFault } from './token-app.ts';

const plan: LoadPlan = { ratePerS: 1, durationMs: 0, rampMs: 0, users: 1, connections: 1, workers: 1 };

let stage: SeatStage;
beforeAll(async () => {
  stage = await startSeatStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

async function probe(fault: EndpointFault | null) {
  // the REST side of the platform is not on this stage: only the endpoint is judged here
  const context = stage.probeContext();
  stage.tokenApp.fault = fault;
  try {
    const { measurements } = await runTokenProbe(context, plan);
    const endpointRows = context.rows.filter(({ group }) => group !== 'service-role');
    const failed = endpointRows
      .filter(({ verdict }) => verdict === 'breached')
      .map(({ name }) => String(name));
    return {
      measurement: measurementSchema.parse(measurements[0]),
      endpointRows,
      failed,
      rows: context.rows,
    };
  } finally {
    stage.tokenApp.fault = null;
  }
}

describe('the token probe', () => {
  it('every case holds against the policy', async () => {
    const { failed, endpointRows, rows } = await probe(null);
    expect(failed).toEqual([]);
    expect(endpointRows.length).toBeGreaterThan(100);
    expect(JSON.stringify(rows)).not.toContain('eyJ');
  });

  it('a leak is counted, named and fails the threshold', async () => {
    const { failed, measurement } = await probe('forgets-bans');
    expect(failed).toEqual(['a banned user', 'a banned user asking to publish']);
    expect(measurement.counts).toMatchObject({ breached: 2, violations: 2 });
    expect(measurement.thresholds).toMatchObject([{ metric: 'token_hygiene_failed', ok: false }]);
    expect(measurement.details.breached).toContainEqual(expect.objectContaining({ name: 'a banned user' }));
  });

  it('an endpoint that is not there is no pass', async () => {
    const context = stage.probeContext({ tokenEndpoint: 'http://127.0.0.1:9/functions/v1/livekit-token' });
    const { measurements } = await runTokenProbe(context, plan);
    expect(measurements[0]).toMatchObject({ status: 'not_run', value: null, samples: 0 });
    expect(measurements[0]?.reason).toContain('does not answer');
  });

  it('one that dies on the way leaves cases open, which is no pass', async () => {
    const context = stage.probeContext();
    stage.tokenApp.dieAfter(10);
    const { measurements } = await runTokenProbe(context, plan);
    stage.tokenApp.dieAfter(null);
    expect(measurements[0]).toMatchObject({ status: 'inconclusive' });
    expect(measurements[0]?.counts.inconclusive).toBeGreaterThan(40);
  });

  it('without an endpoint: not_run', async () => {
    const { measurements } = await runTokenProbe(stage.probeContext({ tokenEndpoint: undefined }), plan);
    expect(measurements[0]).toMatchObject({ id: 'token.hygiene', status: 'not_run' });
  });
});
