import type pg from 'pg';
import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../kernel/log.ts';
import type { LiveKitAdmin } from '../target/livekit/admin.ts';
import type { EjectionReport } from './guard/ejection-report.ts';
import { Enforcer } from './guard/enforcer.ts';
import { listenSource } from './guard/listen-source.ts';
import { postgresStore } from './guard/postgres-store.ts';

export type { EjectionReport } from './guard/ejection-report.ts';

export interface SeatEnforcerOptions {
  /** One of its connections listens for changes, so it needs two at least. */
  readonly database: pg.Pool;
  readonly livekit: LiveKitAdmin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEjected?: (report: EjectionReport) => void;
}

export interface SeatEnforcer {
  /** Idempotent. Resolves once changes are being listened for. */
  start(): Promise<void>;
  /** Idempotent. Waits for the calls in flight; what is not ejected by then stays in the outbox. */
  stop(): Promise<void>;
  stats(): { readonly ejected: number; readonly failed: number; readonly pending: number };
}

/** The enforcing part of a guard over a pool that is at hand: for drills of targets that run no guard. */
export function createSeatEnforcer(options: SeatEnforcerOptions): SeatEnforcer {
  const { database, livekit, clock, log, onEjected } = options;
  const enforcer = new Enforcer({
    store: postgresStore(database),
    source: listenSource(database),
    ...{ livekit, clock, log, onEjected },
  });
  return {
    start: () => enforcer.start(),
    stop: () => enforcer.stop(),
    stats() {
      const { ejected, failed, outbox } = enforcer.status();
      return { ejected, failed, pending: outbox.pending };
    },
  };
}
