import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRunId, RunFolder } from '../../../src/cli/run-folder.ts';
import { silentLogger } from '../../../src/kernel/log.ts';
import { redact } from '../../../src/kernel/redact.ts';
import { type RunRecord, runRecordSchema } from '../../../src/record/run-record.ts';
import { sampleRecord } from '../report/sample-record.ts';
import { runFake } from './fake-host.ts';

const canary = 'hunter2-canary-4711';
let cwd: string;
let reportsDir: string;
beforeEach(() => {
  cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-runs-'));
  reportsDir = path.join(cwd, 'reports');
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function open(runId: string, runDir?: string): Promise<RunFolder> {
  const hide = (text: string) => redact(text.replaceAll(canary, '[redacted]'));
  return RunFolder.open({ runId, reportsDir, runDir, redact: hide, log: silentLogger });
}

function draft(runId: string, changes: Partial<RunRecord> = {}): Omit<RunRecord, 'artifacts'> {
  const { artifacts: _, ...rest } = sampleRecord({ runId, ...changes });
  return rest;
}

function readRecord(folder: string): RunRecord {
  return runRecordSchema.parse(JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8')));
}

const [older, newer] = ['2026-11-24T00-30-12Z-7f3a', '2026-11-24T00-31-00Z-0001'];

test('a run id is its second and four hex digits', () => {
  expect(createRunId(Date.parse('2026-11-24T00:30:12.789Z'), 0x7f3a)).toBe(older);
  expect(createRunId(Date.parse('2026-11-24T00:31:00Z'), 1)).toBe(newer);
});

describe('a run folder', () => {
  test('has run.json, report.md, series with their digests, and nothing half written', async () => {
    const folder = await open(older);
    folder.series('chat.throughput.ndjson', { second: 1, sent: 59 });
    folder.series('chat.throughput.ndjson', { second: 2, sent: 60 });
    await folder.write('logs/gateway.log', 'log', 'up\n');
    const saved = await folder.save(draft(older));
    expect(readdirSync(folder.path).sort()).toEqual([
      'chat.throughput.ndjson',
      'logs',
      'report.md',
      'run.json',
    ]);
    const series = readFileSync(path.join(folder.path, 'chat.throughput.ndjson'), 'utf8');
    expect(series).toBe('{"second":1,"sent":59}\n{"second":2,"sent":60}\n');
    expect(saved.artifacts).toEqual([
      {
        path: 'chat.throughput.ndjson',
        kind: 'series',
        sha256: createHash('sha256').update(series).digest('hex'),
      },
      { path: 'logs/gateway.log', kind: 'log', sha256: createHash('sha256').update('up\n').digest('hex') },
    ]);
    expect(readRecord(folder.path)).toEqual(saved);
  });

  test('can be saved again, with rows that came after', async () => {
    const folder = await open(older);
    folder.series('s.ndjson', { n: 1 });
    await folder.save(draft(older, { interrupted: true }));
    expect(readRecord(folder.path).interrupted).toBe(true);
    folder.series('s.ndjson', { n: 2 });
    await folder.save(draft(older));
    expect(readFileSync(path.join(folder.path, 's.ndjson'), 'utf8')).toBe('{"n":1}\n{"n":2}\n');
    expect(readRecord(folder.path).interrupted).toBeUndefined();
  });

  test('holds no secret, and stays JSON where one stood', async () => {
    const folder = await open(older);
    folder.series('s.ndjson', { url: `postgresql://u:${canary}@h/d`, token: null });
    await folder.write('x.log', 'log', `key ${canary} eyJhbGciOiJIUzI1NiJ9.e30.c2ln\n`);
    await folder.save(draft(older, { config: { password: canary, list: [`Bearer ${canary}`] } }));
    for (const name of readdirSync(folder.path)) {
      const text = readFileSync(path.join(folder.path, name), 'utf8');
      expect(text, name).not.toContain(canary);
      expect(text, name).not.toContain('eyJ');
    }
    expect(JSON.parse(readFileSync(path.join(folder.path, 's.ndjson'), 'utf8')).token).toBeNull();
  });

  test('writes nothing outside of itself', async () => {
    const folder = await open(older);
    expect(() => folder.series('../../x.ndjson', {})).toThrow('not inside');
    await expect(folder.write('/tmp/x', 'log', '')).rejects.toThrow('not inside');
  });

  test('a series that could not be written costs the run its rows, not its record', async () => {
    const folder = await open(older);
    // as when no file descriptor was left: the file cannot be opened
    mkdirSync(path.join(folder.path, 's.ndjson'));
    folder.series('s.ndjson', { n: 1 });
    folder.series('t.ndjson', { n: 1 });
    const saved = await folder.save(draft(older));
    expect(saved.artifacts.map((artifact) => artifact.path)).toEqual(['t.ndjson']);
    expect(readRecord(folder.path)).toEqual(saved);
  });

  test('a record that is none is not written', async () => {
    const folder = await open(older);
    await expect(folder.save({ ...draft(older), measurements: [{} as never] })).rejects.toThrow();
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

describe('report show and build', () => {
  async function twoRuns() {
    await (await open(older)).save(draft(older));
    await (await open(newer)).save(draft(newer));
  }
  const shownId = async (...argv: string[]) => {
    const ran = await runFake(['report', 'show', ...argv, '--json'], { cwd });
    const data = ran.json().data as { runId: string } | null;
    return data?.runId ?? ran.json().error?.code;
  };

  test('a run is found as the latest, by its id, the start of one, its folder, its run.json', async () => {
    await twoRuns();
    expect(await shownId()).toBe(newer);
    expect(await shownId(older)).toBe(older);
    expect(await shownId('2026-11-24T00-30')).toBe(older);
    expect(await shownId(path.join('reports', older))).toBe(older);
    expect(await shownId(path.join('reports', older, 'run.json'))).toBe(older);
    rmSync(path.join(reportsDir, 'latest'));
    expect(await shownId()).toBe(newer);
  });

  test('and is not found when there is none, or two', async () => {
    expect(await shownId()).toBe('TF-REP-001');
    await twoRuns();
    expect(await shownId('2026-11')).toBe('TF-REP-001');
    expect(await shownId('2027')).toBe('TF-REP-001');
  });

  test('what is no record is refused, and where it is not one is told', async () => {
    const folder = await open(older);
    await folder.save(draft(older));
    const file = path.join(folder.path, 'run.json');
    writeFileSync(file, JSON.stringify({ ...readRecord(folder.path), seed: 'x' }));
    const ran = await runFake(['report', 'show', '--json'], { cwd });
    expect(ran.json().error).toMatchObject({ code: 'TF-REP-002' });
    expect(ran.json().error?.why).toContain('seed');
    writeFileSync(file, '{');
    expect(await shownId()).toBe('TF-REP-002');
  });

  test('build writes the report again', async () => {
    const folder = await open(older);
    await folder.save(draft(older));
    const file = path.join(folder.path, 'report.md');
    const before = readFileSync(file, 'utf8');
    rmSync(file);
    const ran = await runFake(['report', 'build'], { cwd });
    expect(ran).toMatchObject({ code: 0, stdout: `${path.join('reports', older, 'report.md')}\n` });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});
