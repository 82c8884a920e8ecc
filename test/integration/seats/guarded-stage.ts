import { systemClock } from '../../../src/kernel/clock.ts';
import { silentLogger } from '../../../src/kernel/log.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { Enforcer } from '../../../src/ops/guard/enforcer.ts';
import { startGate } from '../../../src/ops/guard/gate.ts';
import { listenSource } from '../../../src/ops/guard/listen-source.ts';
import { postgresStore } from '../../../src/ops/guard/postgres-store.ts';
import { createSeatTable } from '../../../src/ops/guard/seat-table.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import type { SeatStage } from './seat-stage.ts';

/** A gate in front of the stage's LiveKit, with a seat table of its own. */
export async function startStageGate(stage: SeatStage): Promise<AsyncDisposable & { readonly url: string }> {
  const { url: upstream, apiKey, apiSecret } = stage.livekit.livekit;
  const databaseUrl = new Secret(stage.postgres.databaseUrl);
  const table = createSeatTable({ databaseUrl, clock: systemClock, log: silentLogger });
  await table.start();
  const gate = await startGate({
    ...{ listen: { host: '127.0.0.1', port: 0 }, upstream, apiKey, apiSecret, table },
    ...{ failOpen: false, clock: systemClock, log: silentLogger },
  });
  return {
    url: gate.url,
    async [Symbol.asyncDispose]() {
      await gate.stop();
      await table.stop();
    },
  };
}

/** The enforcing part of a guard that looks into rooms often, so that tests need not wait for it. Not started yet. */
export function stageEnforcer(stage: SeatStage, livekitUrl = stage.livekit.livekit.url): Enforcer {
  return new Enforcer({
    store: postgresStore(stage.database),
    source: listenSource(stage.database),
    livekit: liveKitAdmin({ ...stage.livekit.livekit, url: livekitUrl }),
    clock: systemClock,
    log: silentLogger,
    reconcileEveryMs: 300,
  });
}
