import type { Invariant } from '../../record/matrix-row.ts';
import { invariant } from '../run-experiment.ts';

export interface StoredMessage {
  readonly id: string;
  readonly userId: string;
  /** Milliseconds since the epoch, by the database's clock. */
  readonly createdAtMs: number;
}

/**
 * 1 msg/s with the tolerance the database documents: 100 ms early is let through (migrations/000017_chat_turn_time.sql),
 * so two messages of one user and stream are never closer than this. In the database's microseconds: as milliseconds
 * since the epoch a double is off by a fraction of one.
 */
const closestUs = 900_000;

/** No two messages of one user stand closer together than the throttle allows. */
export function checkPace(messages: readonly StoredMessage[]): Invariant {
  const byUser = Map.groupBy(messages, (message) => message.userId);
  const violations: string[] = [];
  let pairs = 0;
  for (const [userId, own] of byUser) {
    const times = own.map((m) => m.createdAtMs).sort((a, b) => a - b);
    for (let i = 1; i < times.length; i++) {
      pairs++;
      const gapMs = (times[i] ?? 0) - (times[i - 1] ?? 0);
      if (Math.round(gapMs * 1000) < closestUs)
        violations.push(`user ${userId}: two messages ${gapMs.toFixed(0)} ms apart`);
    }
  }
  return invariant('at most one stored message per second and user', pairs, violations);
}

/** What was acknowledged is stored, and what was refused is not. */
export function checkAcknowledged(
  messages: readonly StoredMessage[],
  acknowledged: ReadonlySet<string>,
  refused: ReadonlySet<string>,
): Invariant {
  const stored = new Set(messages.map((message) => message.id));
  return invariant('stored exactly what was acknowledged', acknowledged.size + refused.size, [
    ...[...acknowledged].filter((id) => !stored.has(id)).map((id) => `acknowledged but not stored: ${id}`),
    ...[...refused].filter((id) => stored.has(id)).map((id) => `refused but stored: ${id}`),
  ]);
}
