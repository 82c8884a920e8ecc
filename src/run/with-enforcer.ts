import { whileEnforced } from '../ops/guard/enforcement.ts';
import type { ProbeContext, ProbeResult } from '../probes/probe.ts';

/**
 * Runs a probe that only looks while somebody carries revocations out: the guard of the target, or an enforcer of the
 * run's own where the target has none. Which of them it was stands in each measurement (`details.enforcedBy`).
 */
export function withEnforcer(context: ProbeContext, probe: () => Promise<ProbeResult>): Promise<ProbeResult> {
  return whileEnforced(context, async (enforcedBy) => {
    const { measurements } = await probe();
    return {
      measurements: measurements.map((one) => ({ ...one, details: { ...one.details, enforcedBy } })),
    };
  });
}
