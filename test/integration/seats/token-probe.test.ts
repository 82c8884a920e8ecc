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
    const failed = endpointRows.filter(({ verdict }) => verdict === 'failed').map(({ name }) => String(name));
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
    expect(endpointRows.length).toBeGreaterThan(60);
    expect(JSON.stringify(rows)).not.toContain('eyJ');
  });

  it.each<[EndpointFault, string]>([
    ['obeys-grants', 'roomAdmin: true'],
    ['obeys-grants', 'canPublish: true'],
    ['obeys-identity', "another user's identity"],
    ['obeys-identity', 'an alias of oneself'],
    ['obeys-ttl', 'a year in seconds'],
    ['forgets-bans', 'a banned user'],
    ['believes-any-jwt', 'a JWT signed with another key'],
    ['believes-any-jwt', 'an unsigned JWT (alg none)'],
    ['believes-any-jwt', "another user's claims under one's own signature"],
    ['implicit-flags', 'a viewer may watch'],
  ])('an endpoint that %s is caught by "%s"', async (fault, name) => {
    const { failed, measurement } = await probe(fault);
    expect(failed).toContain(name);
    expect(measurement.counts.violations).toBeGreaterThan(0);
    expect(measurement.thresholds).toMatchObject([{ metric: 'token_hygiene_failed', ok: false }]);
    expect(measurement.details.failed).toContainEqual(expect.objectContaining({ name }));
  });

  it('an endpoint that is not there is no pass', async () => {
    const context = stage.probeContext({ tokenEndpoint: 'http://127.0.0.1:9/functions/v1/livekit-token' });
    const { measurements } = await runTokenProbe(context, plan);
    expect(measurements[0]).toMatchObject({ status: 'not_run', value: null, samples: 0 });
    expect(measurements[0]?.reason).toContain('does not answer');
  });

  it('one that dies on the way leaves cases untested, which is no pass', async () => {
    const context = stage.probeContext();
    stage.tokenApp.dieAfter(10);
    const { measurements } = await runTokenProbe(context, plan);
    stage.tokenApp.dieAfter(null);
    expect(measurements[0]).toMatchObject({ status: 'inconclusive' });
    expect(measurements[0]?.counts.untested).toBeGreaterThan(40);
  });

  it('without an endpoint: not_run', async () => {
    const { measurements } = await runTokenProbe(stage.probeContext({ tokenEndpoint: undefined }), plan);
    expect(measurements[0]).toMatchObject({ id: 'token.hygiene', status: 'not_run' });
  });
});
