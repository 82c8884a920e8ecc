import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LogTail } from '../../../src/cli/log-tail.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'trollfix-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the last lines, then whole lines as they come, also of a log that is begun anew', async () => {
  const file = path.join(folder, 'x.log');
  const tail = new LogTail(file);
  expect(await tail.last(2)).toBeUndefined();
  expect(await tail.added()).toEqual([]);

  writeFileSync(file, 'a\n\nb\nç\n');
  expect(await tail.last(2)).toEqual(['b', 'ç']);
  expect(await tail.added()).toEqual([]);
  appendFileSync(file, 'dé\nhal');
  expect(await tail.added()).toEqual(['dé']);
  appendFileSync(file, 'f\n');
  expect(await tail.added()).toEqual(['half']);

  writeFileSync(file, 'new\n');
  expect(await tail.added()).toEqual(['new']);
});

test('of no lines only the place is kept, and a file that comes later is read from its start', async () => {
  const file = path.join(folder, 'y.log');
  const early = new LogTail(file);
  expect(await early.last(0)).toBeUndefined();
  writeFileSync(file, 'a\n');
  const late = new LogTail(file);
  expect(await late.last(0)).toEqual([]);
  appendFileSync(file, 'b\n');
  expect(await early.added()).toEqual(['a', 'b']);
  expect(await late.added()).toEqual(['b']);
});
