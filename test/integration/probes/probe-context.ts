import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { SeededRandom } from '../../../src/kernel/random.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import type { LoadPlan, ProbeContext } from '../../../src/probes/probe.ts';

/** A target of which nothing is known but its URL. */
export function bareTarget(url: string, more: Partial<Target> = {}): Target {
  return {
    name: 'test',
    kind: 'embedded',
    supabaseUrl: url,
    anonKey: new Secret('anon-key-of-the-test'),
    serviceRoleKey: undefined,
    jwtSecret: undefined,
    databaseUrl: undefined,
    livekit: undefined,
    hls: undefined,
    tokenEndpoint: undefined,
    limits: undefined,
    ...more,
  };
}

export function probeContext(
  target: Target,
  more: Partial<ProbeContext> = {},
): ProbeContext & { readonly rows: Map<string, number> } {
  const rows = new Map<string, number>();
  return {
    target,
    database: undefined,
    runId: `test-${Date.now().toString(36)}`,
    clock: systemClock,
    random: new SeededRandom(7),
    signal: new AbortController().signal,
    log: silentLogger,
    progress: silentProgress,
    series: (name) => rows.set(name, (rows.get(name) ?? 0) + 1),
    ...more,
    rows,
  };
}

export const calm: LoadPlan = {
  ratePerS: 50,
  durationMs: 2000,
  rampMs: 0,
  users: 10,
  connections: 10,
  workers: 1,
};
