import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger } from '../../../src/kernel/log.ts';
import { createSeatEnforcer } from '../../../src/ops/seat-enforcer.ts';
import type { LoadPlan } from '../../../src/probes/probe.ts';
import { runSeatProbe } from '../../../src/probes/seat/seat-probe.ts';
import type { WayBackFinding } from '../../../src/probes/seat/ways-back.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { startDeafLiveKit } from './deaf-livekit.ts';
import { type SeatStage, startSeatStage } from './seat-stage.ts';

const plan: LoadPlan = { ratePerS: 1, durationMs: 0, rampMs: 0, users: 12, connections: 1, workers: 1 };

let stage: SeatStage;
beforeAll(async () => {
  stage = await startSeatStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

async function probeWithEnforcer(livekit = stage.livekit.livekit, users = plan.users) {
  const context = stage.probeContext({ livekit });
  const enforcer = createSeatEnforcer({
    database: stage.database,
    livekit: liveKitAdmin(livekit),
    clock: systemClock,
    log: silentLogger,
  });
  await enforcer.start();
  try {
    const { measurements } = await runSeatProbe(context, { ...plan, users });
    const [ejection, readmission] = measurements.map((one) => measurementSchema.parse(one));
    if (!ejection || !readmission) throw new Error('two measurements were expected');
    return { ejection, readmission, rows: context.rows };
  } finally {
    await enforcer.stop();
  }
}

/** `original /rtc` → verdict */
function verdicts(details: Record<string, unknown>, situation: string): Record<string, string> {
  const doors = details.doors as WayBackFinding[]; // that is what findings.ts puts there
  const ours = doors.filter((door) => door.situation === situation);
  return Object.fromEntries(ours.map(({ credential, door, verdict }) => [`${credential} ${door}`, verdict]));
}

describe('the seat probe', () => {
  it('measures ejections, and tells which doors stay open', async () => {
    const { ejection, readmission, rows } = await probeWithEnforcer();
    expect(ejection).toMatchObject({
      id: 'seat.ejection',
      samples: 12,
      counts: { revoked: 26, ejected: 26, missed: 0, violations: 0 },
      thresholds: [{ metric: 'seat_missed', observed: 0, samples: 26, ok: true }],
      details: { active: { asked: 2, connected: 2, byWitness: 2, unconnected: {} } },
    });
    expect(rows.filter(({ kind, ejectMs }) => kind === 'active' && Number(ejectMs) > 0)).toHaveLength(2);
    expect(ejection.latencyMs?.p50).toBeGreaterThan(0);
    expect(rows.filter(({ kind }) => kind === 'burst')).toHaveLength(12);

    // livekit.md §2: without a gate every door but the resumed session is open, for both tokens
    const banned = verdicts(readmission.details, 'banned');
    for (const door of ['/rtc', '/rtc/v1', '/rtc?publish=<alias>', 'POST /whip/v1']) {
      expect([banned[`original ${door}`], banned[`refreshed ${door}`]]).toEqual(['WINDOW', 'WINDOW']);
    }
    expect(banned).toMatchObject({
      'original /rtc?reconnect=1&sid=<old session>': 'CLOSED',
      'refreshed /rtc?reconnect=1&sid=<old session>': 'CLOSED',
      'original /rtc/validate': 'OPEN',
      'refreshed /rtc/v1/validate': 'OPEN',
      'alias /rtc, token of an alias': 'WINDOW',
      'new token endpoint, then /rtc': 'CLOSED',
    });
    expect(readmission).toMatchObject({
      status: 'measured',
      samples: 48,
      counts: { doors: 48, unknown: 0, noDoor: 0, bannedInside: 0, stillPublishing: 0, violations: 0 },
      details: { verdict: 'open', entry: 'livekit' },
    });
    expect(readmission.value).toBe(readmission.counts.open);
    expect(readmission.thresholds.every(({ ok, samples }) => ok && samples > 0)).toBe(true);
    expect(readmission.thresholds.map(({ metric }) => metric)).not.toContain('seat_doors_open');
    // nothing of the run is left in LiveKit, no token in its record
    expect(JSON.stringify([ejection, readmission, rows])).not.toContain('eyJ');
  });

  it('an endpoint that gives tokens to banned users is a violation', async () => {
    stage.tokenApp.fault = 'forgets-bans';
    try {
      const { readmission } = await probeWithEnforcer(undefined, 1);
      expect(readmission.counts).toMatchObject({ tokensForBanned: 1, violations: 1 });
      expect(readmission.thresholds.filter(({ ok }) => !ok)).toMatchObject([
        { metric: 'seat_tokens_for_banned', observed: 1 },
      ]);
    } finally {
      stage.tokenApp.fault = null;
    }
  });

  it('a LiveKit that says yes to removals and does nothing does not pass', async () => {
    await using deaf = await startDeafLiveKit(stage.livekit.livekit.url);
    const { ejection, readmission } = await probeWithEnforcer({ ...stage.livekit.livekit, url: deaf.url }, 3);
    expect(deaf.ignored()).toBeGreaterThan(0);
    expect(ejection).toMatchObject({ status: 'no_data', counts: { revoked: 1, ejected: 0, violations: 1 } });
    expect(ejection.thresholds).toMatchObject([{ metric: 'seat_missed', observed: 1, ok: false }]);
    expect(readmission.status).toBe('not_run');
  });

  it('nobody who carries revocations out does not pass either, and is said', async () => {
    const { measurements } = await runSeatProbe(stage.probeContext(), { ...plan, users: 2 });
    expect(measurements[0]).toMatchObject({ status: 'no_data', counts: { ejected: 0, violations: 1 } });
    expect(measurements[0]?.reason).toContain('carry');
  });

  it.each([
    ['no LiveKit', { livekit: undefined }, 'trollfix up'],
    ['no token endpoint', { tokenEndpoint: undefined }, 'TOKEN_ENDPOINT'],
    ['no way to sign users in', { jwtSecret: undefined }, 'SUPABASE_JWT_SECRET'],
  ])('%s: not_run, with the reason and what to do', async (_what, changes, hint) => {
    const { measurements } = await runSeatProbe(stage.probeContext(changes), plan);
    expect(measurements.map(({ id, status }) => [id, status])).toEqual([
      ['seat.ejection', 'not_run'],
      ['seat.readmission', 'not_run'],
    ]);
    for (const { reason } of measurements) expect(reason).toContain(hint);
  });

  it('an unreachable LiveKit: not_run', async () => {
    const livekit = { ...stage.livekit.livekit, url: 'ws://127.0.0.1:9' };
    const { measurements } = await runSeatProbe(stage.probeContext({ livekit }), plan);
    expect(measurements.map(({ status }) => status)).toEqual(['not_run', 'not_run']);
  });

  it('a threshold that cannot be read is told before anybody is banned', async () => {
    const context = stage.probeContext();
    const thresholds = ['seat_ejection: p(99)<250', 'seat_ejektion: p(99)<1'];
    await expect(runSeatProbe(context, { ...plan, thresholds })).rejects.toMatchObject({
      code: 'TF-LOAD-003',
    });
    expect(context.rows).toEqual([]);
  });
});
