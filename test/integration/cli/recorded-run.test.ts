import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runFake } from '../../unit/cli/fake-host.ts';

const cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-recorded-'));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

// a target with nothing but a URL: no probe has what it needs
const env = { TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:9', TROLLFIX_ANON_KEY: 'anon-key-of-a-test' };

test.each(['chat', 'gift', 'seat', 'hls', 'leaderboard'])(
  'load %s of a target that lacks the part is inconclusive, and never passed',
  async (probe) => {
    const ran = await runFake(['load', probe, '--json'], { cwd, env });
    expect(ran.code).toBe(98);
    expect(ran.json()).toMatchObject({ ok: false, data: { exitCode: 98 }, error: { code: 'TF-LOAD-005' } });
  },
);

test('the hint shows that run, wherever its folder is', async () => {
  const ran = await runFake(['load', 'hls', '--run-dir', 'here', '--json'], { cwd, env });
  expect(existsSync(path.join(cwd, 'here', 'run.json'))).toBe(true);
  const [, line = ''] = /`trollfix ([^`]*)`/.exec(ran.json().error?.hint ?? '') ?? [];
  // another run comes after it
  await runFake(['load', 'hls', '--json'], { cwd, env });
  const shown = await runFake([...line.split(' '), '--json'], { cwd, env });
  const { runId } = ran.json().data as { runId: string };
  expect(shown.json().data).toMatchObject({ runId });
});
