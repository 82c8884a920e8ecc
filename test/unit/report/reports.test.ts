import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { runRecordSchema } from '../../../src/record/run-record.ts';
import { markdownReport } from '../../../src/report/markdown.ts';
import { summarize } from '../../../src/report/summary.ts';
import { terminalReport } from '../../../src/report/terminal.ts';
import { sampleRecord } from './sample-record.ts';

const plainLook = { columns: 100, paint: { bold: (text: string) => text, dim: (text: string) => text } };

test('the sample is a record', () => {
  expect(runRecordSchema.safeParse(sampleRecord()).success).toBe(true);
});

describe('report.md', () => {
  test('is the golden one', () => {
    const golden = readFileSync(new URL('./report.golden.txt', import.meta.url), 'utf8');
    expect(markdownReport(sampleRecord())).toBe(golden);
  });

  test('has the five sections of the original report, in its order', () => {
    const headings = markdownReport(sampleRecord()).match(/^## .*$/gm);
    expect(headings?.slice(0, 5)).toEqual([
      '## 1. Executive Summary',
      '## 2. Implementation Status',
      '## 3. Measured Limits',
      '## 4. Crash Matrix (Failure Points)',
      '## 5. Next Steps',
    ]);
  });

  test('the tables have the columns of the original', () => {
    const text = markdownReport(sampleRecord());
    for (const head of [
      '| Priority | Component | Feature | Status | Verification Method |',
      '| Metric | Measured Value | Theoretical Limit | Bottleneck |',
      '| Scenario | Behavior | Remediation |',
    ]) {
      expect(text).toContain(head);
    }
  });

  test('every row of every table has as many cells as its head, whatever the record says', () => {
    const record = sampleRecord();
    const nasty = 'a | b \\| c\nd\r\n| e |';
    const text = markdownReport({
      ...record,
      status: record.status.map((row) => ({ ...row, feature: nasty, method: nasty })),
      matrix: record.matrix.map((row) => ({ ...row, scenario: nasty, observed: nasty, reason: nasty })),
      measurements: record.measurements.map((m) => ({ ...m, title: nasty, reason: nasty })),
    });
    let cells = 0;
    for (const line of text.split('\n')) {
      if (!line.startsWith('|')) {
        cells = 0;
        continue;
      }
      const count = unescapedPipes(line);
      cells ||= count;
      expect(count, line).toBe(cells);
    }
  });

  test('an empty record gives a report as well', () => {
    const text = markdownReport(sampleRecord({ status: [], measurements: [], matrix: [], nextSteps: [] }));
    expect(text).toContain('Nothing was measured.');
    expect(text).toContain('⚠️ PARTIAL');
  });

  test('HTML of the record stays text', () => {
    expect(markdownReport(sampleRecord())).not.toContain('<b>');
  });
});

describe('the status line', () => {
  const held = sampleRecord({ measurements: [] });
  const row = held.matrix[0];
  if (!row) throw new Error('the sample has a row');

  test.each([
    ['all held', held, 'stable'],
    ['a threshold failed', sampleRecord(), 'failing'],
    ['a row failed', { ...held, matrix: [{ ...row, verdict: 'fail' as const }] }, 'failing'],
    ['a row is not known', { ...held, matrix: [{ ...row, verdict: 'unknown' as const }] }, 'partial'],
    ['a row was not run', { ...held, matrix: [{ ...row, verdict: 'not_run' as const }] }, 'partial'],
    ['nothing was judged', { ...held, status: [], matrix: [] }, 'partial'],
    ['it was interrupted', { ...held, interrupted: true }, 'interrupted'],
    ['all held and the command failed', { ...held, ok: false }, 'failing'],
  ])('%s', (_, record, overall) => {
    expect(summarize(record).overall).toBe(overall);
  });
});

describe('the terminal report', () => {
  test('fits the terminal and shows every part', () => {
    const text = terminalReport(sampleRecord(), plainLook);
    for (const part of [
      'Chat Throughput',
      '59 msg/s',
      'Insufficient Funds',
      'not run: no HLS url',
      'Next steps',
    ]) {
      expect(text).toContain(part);
    }
    for (const line of text.split('\n').filter((one) => /^[│┌├└]/.test(one))) {
      expect(line.length).toBeLessThanOrEqual(100);
    }
  });

  test('a long next step is broken at spaces', () => {
    const step = { text: 'word '.repeat(60).trim(), because: 'reason '.repeat(30).trim() };
    const text = terminalReport(sampleRecord({ nextSteps: [step] }), plainLook);
    const lines = text.split('\n').slice(text.split('\n').indexOf('Next steps') + 1);
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100);
  });

  test('what a record says cannot move the cursor', () => {
    const record = sampleRecord();
    const text = terminalReport(
      { ...record, matrix: record.matrix.map((one) => ({ ...one, observed: 'x\u001b[2Jy\u0007' })) },
      plainLook,
    );
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\u0007');
  });
});

function unescapedPipes(line: string): number {
  return line.replaceAll('\\\\', '').replaceAll('\\|', '').split('|').length;
}
