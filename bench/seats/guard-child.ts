import process from 'node:process';
import type { Target } from '../../src/config/target.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLogger } from '../../src/kernel/log.ts';
import { Secret } from '../../src/kernel/redact.ts';
import { createGuard } from '../../src/ops/guard/guard.ts';

/** What the child is told, as a message: its secrets stand in no command line. */
export interface GuardOrder {
  readonly databaseUrl: string;
  readonly livekit: { readonly url: string; readonly apiKey: string; readonly apiSecret: string };
}

/** What it answers once it runs. */
export interface GuardReady {
  readonly gateUrl: string;
}

// A guard as `trollfix guard` runs it, in a process of its own: on the event loop of whoever measures it would be
// measured with it. It ends with its parent.
process.once('message', async (order: GuardOrder) => {
  const { databaseUrl, livekit } = order;
  const target: Target = {
    name: 'bench',
    kind: 'embedded',
    supabaseUrl: 'http://127.0.0.1:9',
    anonKey: new Secret('none'),
    serviceRoleKey: undefined,
    jwtSecret: undefined,
    databaseUrl: new Secret(databaseUrl),
    livekit: { ...livekit, apiSecret: new Secret(livekit.apiSecret) },
    hls: undefined,
    tokenEndpoint: undefined,
    limits: undefined,
  };
  const guard = createGuard({
    target,
    source: 'listen',
    gate: { host: '127.0.0.1', port: 0 },
    metrics: null,
    webhook: null,
    tripwires: 0,
    failOpen: false,
    clock: systemClock,
    log: silentLogger,
  });
  process.once('disconnect', () => void guard.stop());
  await guard.start();
  const ready: GuardReady = { gateUrl: guard.urls.gate ?? '' };
  process.send?.(ready);
});
