import type pg from 'pg';
import type { Target } from '../../config/target.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import { databaseError } from '../../target/postgres/pool.ts';
import { createSeatEnforcer } from '../seat-enforcer.ts';
import { liveGuardsSql } from './guard.sql.ts';

/**
 * Who carries revocations out: the target's own guard, an enforcer that the drill ran because the target has none, or
 * nobody that is known of (without a database there is nobody to ask, and nothing to enforce from).
 */
export type EnforcedBy = 'guard' | 'drill' | 'unknown';

export interface EnforcementContext {
  readonly database: pg.Pool | undefined;
  readonly target: Target;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A guard that said within the last 15 s that it is there. */
export interface LiveGuard {
  readonly id: string;
  readonly ageS: number;
  readonly healthy: boolean;
  readonly alarms: readonly string[];
  readonly gateUrl: string | null;
}

/** Those that run on this database, the one heard of last first; none where the schema knows of no guards. @throws TF-DB-* */
export async function liveGuards(database: pg.Pool): Promise<LiveGuard[]> {
  try {
    const { rows } = await database.query<LiveGuardRow>(liveGuardsSql);
    return rows.map(({ id, age_s: ageS, state }) => ({
      ...{ id, ageS },
      healthy: state.healthy ?? false,
      alarms: state.alarms ?? [],
      gateUrl: state.gateUrl ?? null,
    }));
  } catch (error) {
    const known = databaseError(error);
    if (known instanceof TrollfixError && known.code === 'TF-DB-003') return [];
    throw known;
  }
}

/**
 * Runs `work` while revocations are carried out on LiveKit: by the guard that the target runs, so that what is measured
 * is what the target does; only a target without one gets an enforcer for as long as this takes.
 */
export async function whileEnforced<T>(
  { database, target, clock, log }: EnforcementContext,
  work: (by: EnforcedBy) => Promise<T>,
): Promise<T> {
  if (database === undefined || target.livekit === undefined) return work('unknown');
  if ((await liveGuards(database)).length > 0) return work('guard');
  const enforcer = createSeatEnforcer({ database, livekit: liveKitAdmin(target.livekit), clock, log });
  await enforcer.start();
  try {
    return await work('drill');
  } finally {
    await enforcer.stop();
  }
}

/** What guards of this and other versions say of themselves. */
interface LiveGuardRow {
  readonly id: string;
  readonly age_s: number;
  readonly state: {
    readonly healthy?: boolean;
    readonly alarms?: readonly string[];
    readonly gateUrl?: string | null;
  };
}
