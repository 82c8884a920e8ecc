import type { EnforcerStatus } from './enforcer.ts';
import type { GateStats } from './gate-tally.ts';
import type { WebhookResult } from './webhook-inbox.ts';

/** How a guard fares. */
export interface GuardStatus {
  readonly id: string;
  readonly phase: 'starting' | 'running' | 'draining' | 'stopped';
  /** Whether revocations are carried out, and nobody is refused who should not be. */
  readonly healthy: boolean;
  /** What is wrong, in words for whoever is woken by it; empty when nothing is. */
  readonly alarms: readonly string[];
  readonly enforcer: EnforcerStatus;
  readonly gate:
    | (GateStats & {
        readonly url: string;
        /** Whether admissions can be decided; `why` when not. */
        readonly ready: boolean;
        readonly why: string | null;
        readonly pairs: number;
        /** More pairs than this and nobody is let in. */
        readonly pairsLimit: number;
      })
    | null;
  readonly webhooks: Readonly<Record<WebhookResult, number>> | null;
  readonly tripwires: { readonly armed: number; readonly trips: number } | null;
}

/** A reconciliation is due every 2 s; this many of its intervals without one and something is wrong. */
const missedPasses = 5;

/** Ejections take milliseconds: one that has waited for so long is not going to happen by itself. */
const stuckMs = 30_000;

/** Of the room in the seat table: early enough to lift bans or end streams before the gate closes for everybody. */
const fullAtShare = 0.8;

/** What an operator has to know about, in words. */
export function alarmsOf(status: Pick<GuardStatus, 'enforcer' | 'gate'>, reconcileEveryMs: number): string[] {
  const { enforcer, gate } = status;
  const { database, livekit, outbox, lastPassAgeMs } = enforcer;
  const alarms: string[] = [];
  if (!database.ok) alarms.push(`the database cannot be asked: ${database.message}`);
  if (livekit.kind === 'refused') alarms.push(`LiveKit refuses this guard: ${livekit.message}`);
  if (livekit.kind === 'down') alarms.push(`LiveKit cannot be asked: ${livekit.message}`);
  const lateMs = missedPasses * reconcileEveryMs;
  if (lastPassAgeMs === null) alarms.push('no reconciliation has been carried through yet');
  else if (lastPassAgeMs > lateMs) {
    alarms.push(`the last reconciliation is ${Math.round(lastPassAgeMs / 1000)} s ago`);
  }
  if (outbox.oldestAgeMs !== null && outbox.oldestAgeMs > stuckMs) {
    const age = Math.round(outbox.oldestAgeMs / 1000);
    alarms.push(`${outbox.pending} ejections are pending, the oldest for ${age} s`);
  }
  if (gate && !gate.ready) alarms.push(`the gate cannot decide on admissions: ${gate.why}`);
  if (gate && gate.pairs >= gate.pairsLimit * fullAtShare) {
    alarms.push(
      `the gate closes at ${gate.pairsLimit} seats and bans on live streams; there are ${gate.pairs}`,
    );
  }
  return alarms;
}
