import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { type Progress, silentLogger } from '../../../src/kernel/log.ts';
import { createSeatEnforcer } from '../../../src/ops/seat-enforcer.ts';
import { measureStorm, type StormPlan, type StormTimes } from '../../../src/probes/seat/storm.ts';
import { stormMeasurement } from '../../../src/probes/seat/storm-findings.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { type SeatStage, startSeatStage } from './seat-stage.ts';

const plan: StormPlan = { users: 16, active: 2, ratePerS: 40, holdMs: 3_000 };
/** Joining anew twice within the hold; and a time in which a busy machine still ejects everybody. */
const times: StormTimes = { recycleAfterMs: 1_200, ejectionMs: 8_000 };

let stage: SeatStage;
beforeAll(async () => {
  stage = await startSeatStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

interface Disturbance {
  readonly livekit?: NonNullable<Target['livekit']>;
  readonly enforced?: boolean;
  readonly times?: StormTimes;
  readonly plan?: StormPlan;
  /** Runs once everybody is in. */
  readonly meanwhile?: (room: string) => Promise<void>;
}

async function storm({ enforced = true, meanwhile, ...changes }: Disturbance = {}) {
  const livekit = changes.livekit ?? stage.livekit.livekit;
  const context = stage.probeContext({ livekit });
  const enforcer = createSeatEnforcer({
    database: stage.database,
    livekit: liveKitAdmin(livekit),
    clock: systemClock,
    log: silentLogger,
  });
  if (enforced) await enforcer.start();
  try {
    const place = { livekit, tokenEndpoint: stage.tokenApp.url };
    const held = Promise.withResolvers<void>();
    const progress: Progress = (event) => {
      if (event.kind === 'step' && event.text.endsWith('are held')) held.resolve();
    };
    const running = measureStorm(
      { ...context, progress },
      place,
      changes.plan ?? plan,
      changes.times ?? times,
    );
    if (meanwhile !== undefined) {
      // a storm that fails before ends the wait too
      await Promise.race([held.promise, running]);
      const { rows } = await stage.database.query<{ id: string }>(
        'select id from public.streams where run_id = $1',
        [context.runId],
      );
      await meanwhile(rows[0]?.id ?? '');
    }
    const found = await running;
    return { found, measurement: measurementSchema.parse(stormMeasurement(found)), rows: context.rows };
  } finally {
    await enforcer.stop();
  }
}

const failedOf = (measurement: Awaited<ReturnType<typeof storm>>['measurement']) =>
  measurement.thresholds.filter(({ ok }) => !ok).map(({ metric }) => metric);

describe('the storm', () => {
  it('everybody is held, half is out at once, the witness agrees, nobody else is touched', async () => {
    const { found, measurement, rows } = await storm();
    expect(measurement).toMatchObject({
      id: 'seat.storm',
      counts: {
        ...{ joined: 18, active: 2, activeByWitness: 2, turnedAway: 0, unseen: 0 },
        ...{ revoked: 9, ejected: 9, cut: 0, missed: 0, stillInRoom: 0, lost: 0 },
        ...{ legit: 9, legitEjected: 0, legitUnseen: 0, violations: 0 },
      },
    });
    expect(failedOf(measurement)).toEqual([]);
    // joined anew under the same identity, and neither counted as lost nor as ejected
    expect(found.recycled).toBeGreaterThanOrEqual(13);
    expect([found.single.count, found.storm.signal.count, found.storm.active.count]).toEqual([3, 5, 1]);
    expect(found.witnessCleanMs).toBeGreaterThan(0);
    expect(rows.map(({ kind }) => kind).toSorted()).toEqual(['active', ...Array(8).fill('signal')]);
    expect(JSON.stringify([measurement, rows])).not.toMatch(/eyJ[\w-]{6}/);
  });

  it('somebody thrown out who kept the seat is a violation', async () => {
    const { measurement } = await storm({
      // long enough that nobody joins anew under the remover's hands
      times: { ...times, recycleAfterMs: 60_000 },
      meanwhile: async (room) => {
        const admin = liveKitAdmin(stage.livekit.livekit);
        const [first, second] = await admin.occupants(room);
        expect(second).toBeDefined();
        for (const one of [first, second]) await admin.remove(room, one?.identity ?? '');
      },
    });
    expect(measurement.counts.legitEjected).toBe(2);
    expect(failedOf(measurement)).toContain('seat_storm_legit_ejected');
  });

  it('without anybody who ejects, those revoked are missed, and are seen in the room', async () => {
    const { found, measurement } = await storm({
      enforced: false,
      plan: { users: 6, active: 0, ratePerS: 40, holdMs: 200 },
      times: { recycleAfterMs: 60_000, ejectionMs: 600 },
    });
    expect(measurement).toMatchObject({
      status: 'no_data',
      counts: { ejected: 0, stillInRoom: found.revoked },
    });
    expect(found.revoked).toBeGreaterThan(1);
    expect(found.missed).toEqual({ 'still in when the time was over': found.revoked });
    expect(failedOf(measurement)).toEqual(['seat_storm_missed', 'seat_storm_still_in']);
  });

  it('a server that dies loses people, and ejects nobody', async () => {
    const died = storm({
      plan: { users: 6, active: 0, ratePerS: 40, holdMs: 2_000 },
      times: { recycleAfterMs: 60_000, ejectionMs: 600 },
      enforced: false,
      meanwhile: async () => {
        await stage.livekit.service.restart(AbortSignal.timeout(30_000));
      },
    });
    const { measurement } = await died;
    expect(measurement.counts).toMatchObject({ ejected: 0, legitEjected: 0, lost: 6 });
    expect(failedOf(measurement)).toContain('seat_storm_lost');
  });
});
