import { createSeatEnforcer } from '../ops/seat-enforcer.ts';
import type { ProbeContext } from '../probes/probe.ts';
import { liveKitAdmin } from '../target/livekit/admin.ts';

/**
 * Runs `work` while a seat enforcer carries revocations out on LiveKit: the probe only looks, and what it measures is
 * this. One that runs beside it already does no harm. Without a database or LiveKit there is nothing to enforce.
 */
export async function withEnforcer<T>(context: ProbeContext, work: () => Promise<T>): Promise<T> {
  const { database, target, clock, log } = context;
  if (database === undefined || target.livekit === undefined) return work();
  const enforcer = createSeatEnforcer({ database, livekit: liveKitAdmin(target.livekit), clock, log });
  await enforcer.start();
  try {
    return await work();
  } finally {
    await enforcer.stop();
  }
}
