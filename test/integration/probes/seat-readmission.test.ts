import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readmissionMeasurement } from '../../../src/probes/seat/findings.ts';
import {
  measureReadmission,
  type ReadmissionFindings,
  type ReadmissionPlan,
} from '../../../src/probes/seat/readmission.ts';
import { summarise } from '../../../src/probes/seat/verify.ts';
import { measurementSchema } from '../../../src/record/measurement.ts';
import { startDeafLiveKit } from '../seats/deaf-livekit.ts';
import { stageEnforcer, startStageGate } from '../seats/guarded-stage.ts';
import { isByAlias, startLeakyGate } from '../seats/leaky-gate.ts';
import { type SeatStage, startSeatStage } from '../seats/seat-stage.ts';

let stage: SeatStage;
let gate: Awaited<ReturnType<typeof startStageGate>>;
beforeAll(async () => {
  stage = await startSeatStage();
  gate = await startStageGate(stage);
});
afterAll(async () => {
  await gate?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

/** A stream of a real user who has a seat on it. */
async function realStream(): Promise<string> {
  const [stream, owner] = [crypto.randomUUID(), crypto.randomUUID()];
  await stage.database.query('insert into profiles (id, username) values ($1, $2)', [
    owner,
    `owner ${owner}`,
  ]);
  await stage.database.query('insert into streams (id, owner_id) values ($1, $2)', [stream, owner]);
  await stage.database.query('select grant_seat($1, $2)', [stream, owner]);
  return stream;
}

async function rowsOf(stream: string): Promise<unknown> {
  const { rows } = await stage.database.query(
    `select (select count(*)::int from stream_seats where stream_id = $1) as seats,
            (select count(*)::int from stream_bans where stream_id = $1) as bans,
            (select count(*)::int from seat_events where stream_id = $1) as events,
            (select count(*)::int from seat_ejections where stream_id = $1) as ejections`,
    [stream],
  );
  return rows[0];
}

/** The matrix with a gate in front, and an enforcer that acts through this LiveKit (null: none runs). */
async function matrix(
  gateUrl: string,
  enforcerUrl: string | null,
  plan: Partial<ReadmissionPlan> = {},
): Promise<ReadmissionFindings> {
  const { livekit } = stage.livekit;
  const enforcer = stageEnforcer(stage, enforcerUrl ?? undefined);
  if (enforcerUrl !== null) await enforcer.start();
  try {
    const place = { livekit: { ...livekit, gateUrl }, tokenEndpoint: stage.tokenApp.url };
    return await measureReadmission(stage.probeContext(), place, { victims: 1, pastLeeway: false, ...plan });
  } finally {
    await enforcer.stop();
  }
}

/** Ways at the gate that are not closed: `banned original /rtc` → verdict. */
function openAtGate({ ways }: ReadmissionFindings): Record<string, string> {
  return Object.fromEntries(
    ways
      .filter(({ entry, verdict }) => entry === 'gate' && verdict !== 'CLOSED')
      .map((way) => [
        `${way.situation} ${way.credential} ${way.door}`,
        way.verdict === 'UNKNOWN'
          ? `UNKNOWN: ${Object.keys(way.said)[0]}; a holder: ${way.control}`
          : way.verdict,
      ]),
  );
}

function sessions({ sessions: all }: ReadmissionFindings): Record<string, string> {
  return Object.fromEntries(all.map(({ entry, situation, verdict }) => [`${entry} ${situation}`, verdict]));
}

const closedEverywhere = {
  'gate banned': 'CLOSED',
  'gate downgraded': 'CLOSED',
  'gate expired': 'CLOSED',
  'livekit banned': 'CLOSED',
  'livekit downgraded': 'CLOSED',
  'livekit expired': 'CLOSED',
};

describe('the rejoin matrix', () => {
  it('with gate and guard: every way is shut at the gate, for losers only, and open at LiveKit itself', async () => {
    const stream = await realStream();
    const found = await matrix(gate.url, stage.livekit.livekit.url, { streamId: stream });
    expect(openAtGate(found)).toEqual({});
    expect(sessions(found)).toEqual(closedEverywhere);
    expect(found.holdersRefused).toEqual([]);
    const summary = summarise(found);
    expect(summary).toMatchObject({ verdict: 'held', entries: { gate: { tried: 48, open: 0, unknown: 0 } } });
    expect(summary.entries.livekit?.open).toBeGreaterThan(30);
    const measurement = measurementSchema.parse(readmissionMeasurement(found));
    expect(measurement).toMatchObject({ status: 'measured', value: 0, samples: 48 });
    expect(measurement.thresholds.filter(({ ok }) => !ok)).toEqual([]);
    expect(measurement.thresholds.map(({ metric }) => metric)).toContain('seat_doors_open');
    expect(JSON.stringify(found)).not.toContain('eyJ');

    // of all that was written on the stream, which is not the run's, only what was there before is left
    const { rows: runs } = await stage.database.query('select run_id from synthetic_runs');
    for (const { run_id } of runs) await stage.database.query('select purge_run($1)', [run_id]);
    expect(await rowsOf(stream)).toEqual({ seats: 1, bans: 0, events: 1, ejections: 0 });
  });

  it('a gate that does not know aliases: open by aliases, and by nothing else', async () => {
    await using leaky = await startLeakyGate(gate.url, stage.livekit.livekit.url, isByAlias);
    const found = await matrix(leaky.url, stage.livekit.livekit.url);
    expect(leaky.leaked()).toBeGreaterThan(0);
    const open = openAtGate(found);
    expect(Object.keys(open).sort()).toEqual(
      ['banned', 'downgraded', 'expired']
        .flatMap((situation) => [
          `${situation} alias /rtc, token of an alias`,
          `${situation} original /rtc?publish=<alias>`,
          `${situation} refreshed /rtc?publish=<alias>`,
        ])
        .sort(),
    );
    expect(new Set(Object.values(open))).toEqual(new Set(['WINDOW']));
    expect(summarise(found).verdict).toBe('open');
    const failed = readmissionMeasurement(found).thresholds.filter(({ ok }) => !ok);
    expect(failed).toMatchObject([{ metric: 'seat_doors_open', observed: 9 }]);
  });

  it('no guard: the gate keeps everybody out, and nobody puts out who is in', async () => {
    const found = await matrix(gate.url, null, { patienceMs: 1_500 });
    expect(openAtGate(found)).toEqual({});
    const atLiveKit = found.sessions.filter(({ entry }) => entry === 'livekit');
    expect(atLiveKit.map(({ situation, verdict }) => [situation, verdict])).toEqual([
      ['banned', 'OPEN'],
      ['downgraded', 'OPEN'],
      ['expired', 'OPEN'],
    ]);
    // where somebody gets in, they stay in
    expect(found.ways.filter(({ entry, verdict }) => entry === 'livekit' && verdict === 'WINDOW')).toEqual(
      [],
    );
    const summary = summarise(found);
    expect(summary.verdict).toBe('stays_in');
    expect(summary.bannedInside).toBeGreaterThanOrEqual(16);
    expect(readmissionMeasurement(found).counts.violations).toBe(summary.bannedInside);
  });

  it('a guard whose downgrades do nothing: those sessions go on publishing, the rest holds', async () => {
    await using deaf = await startDeafLiveKit(stage.livekit.livekit.url, 'UpdateParticipant');
    const found = await matrix(gate.url, deaf.url, { patienceMs: 5_000 });
    expect(deaf.ignored()).toBeGreaterThan(0);
    expect(openAtGate(found)).toEqual({});
    expect(sessions(found)).toEqual({
      ...closedEverywhere,
      'gate downgraded': 'OPEN',
      'livekit downgraded': 'OPEN',
    });
    expect(summarise(found)).toMatchObject({ verdict: 'open', stillPublishing: 32, bannedInside: 0 });
  });

  it('a gate that lets nobody in, or is not there, is no closed one', async () => {
    const deadUrl = 'ws://127.0.0.1:9';
    const found = await matrix(deadUrl, stage.livekit.livekit.url);
    for (const verdict of Object.values(openAtGate(found)))
      expect(verdict).toMatch(/^UNKNOWN: .*ECONNREFUSED/);
    const summary = summarise(found);
    expect(summary).toMatchObject({ verdict: 'unknown', entries: { gate: { tried: 0, unknown: 48 } } });
    expect(summary.unclear[0]).toContain('could not join');
    expect(readmissionMeasurement(found)).toMatchObject({ status: 'no_data', value: null });
  });
});
