import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runFake } from '../../unit/cli/fake-host.ts';

const canary = 'hunter2-canary-4711';
const cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-unreachable-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

// nothing listens on the discard port
const env = {
  TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:9',
  TROLLFIX_ANON_KEY: 'anon-key-of-a-test',
  TROLLFIX_DATABASE_URL: `postgresql://postgres:${canary}@127.0.0.1:9/postgres`,
};

test.each([
  'drill --quick',
  'load chat',
  'load gift',
  'chaos run --all',
  'cleanup 2026-11-24T00-30-12Z-7f3a',
  'provision',
  'provision --check',
  'provision --dry-run',
  'seat list',
  'seat grant ada --stream s',
  'seat revoke ada --stream s --reason x --yes',
  'gift backlog',
  'gift drain',
  'settle',
])('a database that does not answer is no bug: %s', async (line) => {
  const ran = await runFake([...line.split(' '), '--json'], { cwd, env });
  expect(ran.json()).toMatchObject({ ok: false, data: null, error: { code: 'TF-DB-001' } });
  expect(ran.code).toBe(3);
  expect(ran.stdout + ran.stderr).not.toContain(canary);
});
