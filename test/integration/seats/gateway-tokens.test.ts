import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { SeededRandom } from '../../../src/kernel/random.ts';
import { createSeatEnforcer } from '../../../src/ops/seat-enforcer.ts';
import type { LoadPlan, ProbeContext } from '../../../src/probes/probe.ts';
import { runSeatProbe } from '../../../src/probes/seat/seat-probe.ts';
import { runTokenProbe } from '../../../src/probes/token/token-probe.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestStack, type TestStack } from '../harness/stack.ts';

const plan: LoadPlan = { ratePerS: 1, durationMs: 0, rampMs: 0, users: 5, connections: 1, workers: 1 };

let stack: TestStack;
let database: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  stack = await startTestStack({ livekit: true, provision: true });
  database = openDatabase(stack.env.DATABASE_URL, { max: 6 });
});
afterAll(async () => {
  await database?.end();
  await stack?.stop();
});

function context(
  runId: string,
  withDatabase: boolean,
): ProbeContext & { rows: Array<Record<string, unknown>> } {
  const rows: Array<Record<string, unknown>> = [];
  return {
    target: stack.target,
    database: withDatabase ? database : undefined,
    runId,
    clock: systemClock,
    random: new SeededRandom(7),
    signal: AbortSignal.timeout(100_000),
    log: silentLogger,
    progress: silentProgress,
    series: (_file, row) => rows.push(row),
    rows,
  };
}

describe('the embedded gateway', () => {
  // over HTTP alone, as against a hosted project without a database URL
  it.each([true, false])('gives out clean tokens only (database at hand: %s)', async (withDatabase) => {
    const probe = context(`tokens-${withDatabase}`, withDatabase);
    const { measurements } = await runTokenProbe(probe, plan);
    // what needs the database is not asked without it
    const failed = probe.rows.filter(({ verdict, answer }) => verdict !== 'held' && answer !== null);
    expect(failed).toEqual([]);
    expect(measurements[0]).toMatchObject({
      id: 'token.hygiene',
      status: 'measured',
      counts: { breached: 0, inconclusive: 0, violations: 0 },
    });
    expect(measurements[0]?.details.groups).toMatchObject({ 'service-role': { cases: 3, held: 3 } });
  });

  it.each([true, false])(
    'seats are ejected, and the endpoint shut (database at hand: %s)',
    async (withDatabase) => {
      const { livekit } = stack.target;
      if (livekit === undefined) throw new Error('the stack has no LiveKit');
      const enforcer = createSeatEnforcer({
        database,
        livekit: liveKitAdmin(livekit),
        clock: systemClock,
        log: silentLogger,
      });
      await enforcer.start();
      try {
        const { measurements } = await runSeatProbe(context(`seats-${withDatabase}`, withDatabase), plan);
        expect(measurements).toMatchObject([
          // on a busy machine the generator may be the limit; who is out is out all the same
          {
            id: 'seat.ejection',
            status: expect.stringMatching(/^(measured|client_limited)$/),
            counts: { missed: 0 },
          },
          { id: 'seat.readmission', status: 'measured', counts: { tokensForBanned: 0, unknown: 0 } },
        ]);
      } finally {
        await enforcer.stop();
      }
    },
  );
});
