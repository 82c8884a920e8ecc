import { describe, expect, it } from 'vitest';
import { ExitCode } from '../../../src/kernel/exit-codes.ts';
import type { MatrixRow, Verdict } from '../../../src/record/matrix-row.ts';
import { type Measurement, notRun } from '../../../src/record/measurement.ts';
import { linkEvidence, verdictOf } from '../../../src/run/build-record.ts';
import { Findings, nextSteps, outcomeOf, statusRows } from '../../../src/run/findings.ts';

const held = { metric: 'm', expr: 'count==0', observed: 0, samples: 5, ok: true };
const failed = { ...held, observed: 3, ok: false };

function measured(id: string, overrides: Partial<Measurement> = {}): Measurement {
  return {
    ...notRun(id, id, 'ms', ''),
    status: 'measured',
    value: 1,
    samples: 5,
    thresholds: [held],
    ...overrides,
  };
}

function row(id: string, verdict: Verdict, details: Record<string, unknown> = {}): MatrixRow {
  return {
    id,
    scenario: id,
    expected: '',
    observed: '',
    remediation: `mend ${id}`,
    verdict,
    fault: null,
    load: { offered: 1, achieved: 1, samples: 1 },
    steadyState: { before: null, during: null, after: null },
    detectionMs: null,
    recoveryMs: null,
    invariants: [],
    repetitions: 1,
    evidence: [],
    details,
  };
}

const verdict = (measurements: Measurement[], matrix: MatrixRow[] = []) =>
  verdictOf({ measurements, matrix });

describe('the exit code of a run', () => {
  it('is 0 when all holds, also with parts that could not run', () => {
    expect(verdict([measured('a')], [row('x', 'pass'), row('y', 'not_run')])).toBe(ExitCode.ok);
  });

  it('is 98 when nothing ran at all: a run that tested nothing is not green', () => {
    expect(verdict([notRun('a', 'A', 'ms', 'no livekit')], [row('x', 'not_run')])).toBe(
      ExitCode.inconclusive,
    );
    expect(verdict([])).toBe(ExitCode.inconclusive);
  });

  it('is 98 for a figure that could not be told, and for a row that proved nothing', () => {
    expect(verdict([measured('a', { status: 'client_limited' })])).toBe(ExitCode.inconclusive);
    expect(verdict([measured('a')], [row('x', 'unknown')])).toBe(ExitCode.inconclusive);
    expect(verdict([measured('a')], [row('x', 'invalid')])).toBe(ExitCode.inconclusive);
  });

  it('is 99 for a failed threshold', () => {
    expect(verdict([measured('a', { thresholds: [failed] })])).toBe(ExitCode.checkFailed);
  });

  it('is 96 for a violated invariant and for a failed row, before anything else', () => {
    const lossy = measured('a', { thresholds: [failed], counts: { lost: 3 } });
    expect(verdict([lossy, measured('b', { status: 'no_data' })])).toBe(ExitCode.invariant);
    const leaking = measured('a', { thresholds: [failed], counts: { unexpected: 3 } });
    expect(verdict([leaking])).toBe(ExitCode.invariant);
    expect(verdict([measured('a', { thresholds: [failed] })], [row('x', 'fail')])).toBe(ExitCode.invariant);
  });
});

describe('the status of the original features', () => {
  it('does not call ejection a hard revocation while a door is open', () => {
    const matrix = [row('seat-expiration', 'pass')];
    const revocation = (doors: number) =>
      statusRows(
        new Findings(
          [measured('seat.ejection'), measured('seat.readmission', { value: doors, samples: 11 })],
          matrix,
        ),
      )[0];
    expect(revocation(0)?.status).toBe('verified');
    expect(revocation(4)?.status).toBe('partial');
    expect(revocation(4)?.evidence.join()).toContain('4 of 11');
  });

  it('says of a gate that holds what LiveKit’s own port still lets in, and what to do about it', () => {
    const behindGate = (counts: Record<string, number>, value = 0) => {
      const readmission = measured('seat.readmission', {
        value,
        samples: 48,
        counts,
        details: { entry: 'gate' },
      });
      const findings = new Findings(
        [measured('seat.ejection'), readmission],
        [row('seat-expiration', 'pass')],
      );
      return {
        row: statusRows(findings)[0],
        steps: nextSteps(findings)
          .map(({ text }) => text)
          .join(),
      };
    };
    const open = behindGate({ directDoors: 48, directOpen: 39 });
    expect(open.row).toMatchObject({ status: 'verified' });
    expect(open.row?.evidence.join()).toMatch(/0 of 48 .*at the gate.*39 of 48 .*must not be reachable/);
    expect(open.steps).toContain('private address');
    expect(behindGate({ directDoors: 48, directOpen: 0 }).row?.evidence.join()).not.toContain('port');
    expect(behindGate({}, 2).row?.status).toBe('partial');
    expect(behindGate({}, 2).steps).toContain('what the gate lets through');
  });

  it('does not call it hard either when doors did not answer, or a banned user was given a token', () => {
    const revocation = (readmission: Partial<Measurement>) =>
      statusRows(
        new Findings(
          [measured('seat.ejection'), measured('seat.readmission', { value: 0, samples: 6, ...readmission })],
          [row('seat-expiration', 'pass')],
        ),
      )[0]?.status;
    expect(revocation({})).toBe('verified');
    expect(revocation({ status: 'inconclusive' })).toBe('partial');
    expect(revocation({ thresholds: [failed] })).toBe('failed');
    expect(revocation({ status: 'no_data', value: null })).toBe('partial');
  });

  it('calls the ledger failed when gifts were lost on the way in, whatever settlement says', () => {
    const matrix = [row('insufficient-funds', 'pass'), row('high-load', 'pass')];
    const ledger = (ingestion: Measurement) =>
      statusRows(new Findings([ingestion, measured('gift.settlement')], matrix)).find(
        ({ feature }) => feature === 'Gift Ledger',
      )?.status;
    expect(ledger(measured('gift.ingestion'))).toBe('verified');
    expect(ledger(measured('gift.ingestion', { thresholds: [failed] }))).toBe('failed');
  });

  it('calls the metrics failed when a settlement run logged no backlog, though others did', () => {
    const metrics = (violations: number, checked = 10) => {
      const logged = { name: 'every settlement run logged its backlog', checked, violations, details: [] };
      const highLoad = { ...row('high-load', violations > 0 ? 'fail' : 'pass'), invariants: [logged] };
      return statusRows(new Findings([], [highLoad])).find(({ feature }) => feature === 'Metrics')?.status;
    };
    expect(metrics(0)).toBe('verified');
    expect(metrics(7)).toBe('failed');
    expect(metrics(0, 0)).toBe('not_run');
  });

  it('says not_run for what has no evidence at all, and partial for what has some', () => {
    const none = statusRows(new Findings([], []));
    expect(none.map((r) => r.status)).toEqual(Array(6).fill('not_run'));
    const some = statusRows(new Findings([measured('hls.startup')], []));
    expect(some.find((r) => r.feature === 'HLS Playback')?.status).toBe('partial');
  });

  it('does not count a measurement that judged nothing', () => {
    expect(outcomeOf(measured('a', { thresholds: [] }))).toBe('absent');
    expect(outcomeOf(measured('a', { thresholds: [failed] }))).toBe('broken');
  });
});

describe('next steps', () => {
  it('come from findings, each with its reason', () => {
    const steps = nextSteps(
      new Findings(
        [
          measured('gift.ingestion', { value: 427 }),
          measured('gift.settlement', { value: 100 }),
          notRun('seat.ejection', 'Seat Ejection', 'ms', 'no livekit-server'),
        ],
        [row('high-load', 'fail')],
      ),
    );
    expect(steps.map((step) => step.text)).toEqual([
      'mend high-load',
      expect.stringContaining('cannot keep up'),
      'Make Seat Ejection measurable',
    ]);
    expect(steps[1]?.because).toContain('427');
    expect(steps[2]?.because).toContain('no livekit-server');
  });

  it('are none when there is nothing to say', () => {
    expect(nextSteps(new Findings([measured('chat.latency')], [row('chat-spam', 'pass')]))).toEqual([]);
  });
});

describe('the evidence of a row', () => {
  it('is linked by its own files only', () => {
    const record = { matrix: [row('chat', 'pass'), row('chat-spam', 'pass')] } as Parameters<
      typeof linkEvidence
    >[0];
    const linked = linkEvidence(record, [
      { path: 'matrix.chat-spam.ndjson', kind: 'series', sha256: 'a' },
      { path: 'chat.throughput.ndjson', kind: 'series', sha256: 'b' },
    ]);
    expect(linked.matrix.map((r) => r.evidence)).toEqual([
      [],
      [{ path: 'matrix.chat-spam.ndjson', sha256: 'a' }],
    ]);
  });
});
