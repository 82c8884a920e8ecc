import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Measurement } from '../../../src/record/measurement.ts';
import { runFake } from '../../unit/cli/fake-host.ts';
import { startTestStack, type TestStack } from '../harness/stack.ts';

const cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-load-seat-'));
let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({ livekit: true, provision: true });
});
afterAll(async () => {
  await stack.stop();
  rmSync(cwd, { recursive: true, force: true });
});

it('load seat: a crowd with media among it, half out at once, its own thresholds, nothing left behind', async () => {
  const { env } = stack;
  const line = 'load seat --users 8 --rate 20/s --duration 1s --active 2 --json';
  const threshold = ['--threshold', 'seat_storm_active_ejection: p(99)<60000'];
  const ran = await runFake([...line.split(' '), ...threshold], {
    cwd,
    env: {
      TROLLFIX_SUPABASE_URL: env.SUPABASE_URL,
      TROLLFIX_ANON_KEY: env.SUPABASE_ANON_KEY,
      TROLLFIX_JWT_SECRET: env.SUPABASE_JWT_SECRET,
      TROLLFIX_DATABASE_URL: env.DATABASE_URL,
      TROLLFIX_LIVEKIT_URL: env.LIVEKIT_URL,
      TROLLFIX_LIVEKIT_API_KEY: env.LIVEKIT_API_KEY,
      TROLLFIX_LIVEKIT_API_SECRET: env.LIVEKIT_API_SECRET,
      TROLLFIX_TOKEN_ENDPOINT: env.TOKEN_ENDPOINT,
    },
  });
  expect(ran.json().data, ran.stderr).not.toBeNull();
  const { data } = ran.json() as { data: { measurements: Measurement[] } };
  const of = (id: string) => data.measurements.find((measurement) => measurement.id === id);
  expect(of('seat.storm')?.counts).toMatchObject({
    ...{ joined: 10, active: 2, activeByWitness: 2, revoked: 5, ejected: 5, missed: 0, stillInRoom: 0 },
    ...{ lost: 0, legit: 5, legitEjected: 0, violations: 0 },
  });
  expect(of('seat.storm')?.thresholds.filter(({ ok }) => !ok)).toEqual([]);
  expect(of('seat.storm')?.thresholds).toContainEqual(
    expect.objectContaining({ metric: 'seat_storm_active_ejection', ok: true }),
  );
  expect(of('seat.ejection')?.counts).toMatchObject({ missed: 0, violations: 0 });
  expect(ran.stdout + ran.stderr).not.toMatch(/eyJ[\w-]{6}/);
});

it('a threshold on the storm that cannot be read is told before anybody joins', async () => {
  const ran = await runFake(['load', 'seat', '--threshold', 'seat_storm_lots: count==0', '--json'], { cwd });
  expect([ran.code, ran.json().error?.code]).toEqual([2, 'TF-LOAD-003']);
});
