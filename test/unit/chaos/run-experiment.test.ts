import { describe, expect, it } from 'vitest';
import type { Experiment, Observation } from '../../../src/chaos/experiment.ts';
import { invariant, judge, runExperiment } from '../../../src/chaos/run-experiment.ts';
import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { SeededRandom } from '../../../src/kernel/random.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import type { ProbeContext } from '../../../src/probes/probe.ts';

const target: Target = {
  name: 'test',
  kind: 'embedded',
  supabaseUrl: 'http://127.0.0.1:1',
  anonKey: new Secret('anon'),
  serviceRoleKey: undefined,
  jwtSecret: new Secret('secret'),
  databaseUrl: undefined,
  livekit: undefined,
  hls: undefined,
  tokenEndpoint: undefined,
  limits: undefined,
};

function contextWith(
  rows: Record<string, unknown>[] = [],
  signal = new AbortController().signal,
): ProbeContext {
  return {
    target,
    database: undefined,
    runId: 'r',
    clock: systemClock,
    random: new SeededRandom(1),
    signal,
    log: silentLogger,
    progress: silentProgress,
    series: (_, row) => rows.push(row),
  };
}

function seen(overrides: Partial<Observation> = {}): Observation {
  return {
    observed: 'seen',
    load: { offered: 1, achieved: 1, samples: 1 },
    fault: null,
    steadyState: { before: null, during: null, after: null },
    detectionMs: null,
    recoveryMs: null,
    invariants: [invariant('holds', 1, [])],
    details: {},
    ...overrides,
  };
}

function experiment(run: Experiment['run'], needs: Experiment['needs'] = []): Experiment {
  return { id: 'x', scenario: 'X', expected: 'e', remediation: 'm', does: 'd', touches: 't', needs, run };
}

describe('the verdict of an experiment', () => {
  it('passes only when every invariant looked at something and none was violated', () => {
    expect(judge(seen()).verdict).toBe('pass');
    expect(judge(seen({ invariants: [invariant('holds', 3, ['one'])] })).verdict).toBe('fail');
  });

  it('is unknown when nothing was checked: no invariant, or one that saw nothing', () => {
    expect(judge(seen({ invariants: [] })).verdict).toBe('unknown');
    expect(judge(seen({ invariants: [invariant('holds', 1, []), invariant('blind', 0, [])] })).verdict).toBe(
      'unknown',
    );
  });

  it('is invalid when the fault did not bite, whatever the invariants say', () => {
    expect(judge(seen({ invalid: 'no lock was held' }))).toEqual({
      verdict: 'invalid',
      reason: 'no lock was held',
    });
  });

  it('is not_run, with the way to make it run, when the target lacks what it needs', async () => {
    const row = await runExperiment(
      experiment(async () => seen(), ['database']),
      () => contextWith(),
      1,
    );
    expect(row.verdict).toBe('not_run');
    expect(row.reason).toContain('databaseUrl');
  });

  it('is unknown when the experiment breaks, and says why without secrets', async () => {
    const broken = experiment(async () => {
      throw new Error('refused: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl');
    });
    const row = await runExperiment(broken, () => contextWith(), 1);
    expect(row.verdict).toBe('unknown');
    expect(row.reason).toContain('[jwt]');
    expect(JSON.stringify(row)).not.toContain('eyJ');
  });

  it('shows the worst repetition and how often the verdict flipped', async () => {
    let run = 0;
    const flaky = experiment(async () => {
      run++;
      return seen(run === 2 ? { observed: 'bad', invariants: [invariant('holds', 1, ['no'])] } : {});
    });
    const row = await runExperiment(flaky, () => contextWith(), 3);
    expect(row.verdict).toBe('fail');
    expect(row.observed).toBe('bad');
    expect(row.repetitions).toBe(3);
    expect(row.details).toMatchObject({ verdicts: ['pass', 'fail', 'pass'], flips: 2 });
  });

  it('passes an interruption on instead of judging it', async () => {
    const stop = new AbortController();
    const slow = experiment(async () => {
      stop.abort(new Error('stopped'));
      throw new Error('whatever');
    });
    await expect(runExperiment(slow, () => contextWith([], stop.signal), 1)).rejects.toThrow('whatever');
  });

  it('writes the history of each repetition', async () => {
    const rows: Record<string, unknown>[] = [];
    const noted = experiment(async (context) => {
      context.history({ process: 'p', op: 'send', type: 'invoke', value: 1 });
      return seen();
    });
    await runExperiment(noted, () => contextWith(rows), 2);
    expect(rows.filter((row) => row.op === 'send').map((row) => row.repetition)).toEqual([1, 2]);
    expect(rows.filter((row) => row.op === 'verdict')).toHaveLength(2);
  });
});
