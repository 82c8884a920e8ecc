import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LogTail } from '../../../../src/local/log-tail.ts';

let dir: string;
let log: LogTail;

beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-log-'));
  log = await LogTail.open(path.join(dir, 'x.log'));
});

afterEach(async () => {
  await log.close();
  await rm(dir, { recursive: true });
});

test('the last line that says why outranks a farewell and a stack trace', () => {
  log.write('listening');
  log.write('TypeError: x is not a function');
  log.write('    at run (file:///a/b.js:1:2)');
  log.write('    at onError (file:///a/b.js:1:2)');
  log.write('Node.js v24.21.0');
  expect(log.lastLine).toBe('TypeError: x is not a function');
});

test('an error long ago is not the reason', () => {
  log.write('ERROR: survived');
  for (let i = 0; i < 20; i++) log.write(`request ${i}`);
  expect(log.lastLine).toBe('request 19');
});

test('lines cut by chunks are whole, and secrets do not reach the file', async () => {
  const stream = new PassThrough();
  log.follow(stream);
  stream.write('connecting to postgresql://u:s3cr');
  stream.write('etpass@127.0.0.1/x\nhalf');
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  await log.close();
  const text = await readFile(log.file, 'utf8');
  expect(text).toBe('connecting to postgresql://u:[redacted]@127.0.0.1/x\nhalf\n');
});
