import { mapBounded } from '../../kernel/bounded-map.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { LiveKitAdmin } from '../../target/livekit/admin.ts';
import { type EjectionOutcome, type Evictee, ejectFromRoom, problemOf } from '../ejection.ts';
import { retryDelayMs } from '../ejection-retry.ts';
import type { EjectionReport } from './ejection-report.ts';
import type { GuardStore, PendingEjection } from './guard-store.ts';
import { judgePending, stricter } from './room-verdicts.ts';

export interface OutboxWorkerOptions {
  readonly store: GuardStore;
  readonly livekit: LiveKitAdmin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly report: (report: EjectionReport) => void;
}

/** Rows of the outbox taken at once: a burst of 200 revocations is one round, a flood is several. */
export const batchLimit = 500;

/**
 * Rooms worked off side by side: nobody's removal waits for another room's rows to be settled. How many calls LiveKit
 * gets at once is bounded by its connections (room-api.ts).
 */
const roomsAtOnce = 16;

/** What the outbox looks like. */
export interface OutboxStatus {
  readonly pending: number;
  /** Age of the oldest row that is pending, by the database's clock against ours; null when there is none. */
  readonly oldestAgeMs: number | null;
}

/**
 * Carries out what stands in the outbox. A row that failed is tried again, ever more slowly and never given up: the ban
 * it carries out holds for as long as it stands.
 */
export class OutboxWorker {
  readonly #options: OutboxWorkerOptions;
  /** Rows that failed, and when (monotonic) they may be tried again. */
  readonly #retryAtMs = new Map<string, { readonly atMs: number; readonly failures: number }>();
  #pending = 0;
  #oldestAtMs: number | null = null;

  constructor(options: OutboxWorkerOptions) {
    this.#options = options;
  }

  status(): OutboxStatus {
    const oldest = this.#oldestAtMs;
    return {
      pending: this.#pending,
      oldestAgeMs: oldest === null ? null : Math.max(0, this.#options.clock.now() - oldest),
    };
  }

  /** When (monotonic) the next row that failed comes due, of those that were not due at `sinceMs` yet. */
  nextRetryAtMs(sinceMs: number): number {
    const due = [...this.#retryAtMs.values()].map(({ atMs }) => atMs);
    return Math.min(...due.filter((atMs) => atMs > sinceMs));
  }

  /** What failed may be tried at once: the reason it failed for is gone. */
  forgetDelays(): void {
    for (const [id, { failures }] of this.#retryAtMs) this.#retryAtMs.set(id, { atMs: 0, failures });
  }

  /** One round over everything that is due. @returns whether more may be waiting than one round takes */
  async work(signal: AbortSignal): Promise<boolean> {
    const { store, clock } = this.#options;
    const waiting = [...this.#retryAtMs]
      .filter(([, { atMs }]) => atMs > clock.monotonicMs())
      .map(([id]) => id);
    const rows = await store.pendingEjections(waiting, batchLimit);
    this.#pending = rows.length + waiting.length;
    if (waiting.length === 0) this.#oldestAtMs = rows[0]?.createdAtMs ?? null;
    else this.#oldestAtMs ??= rows[0]?.createdAtMs ?? null;
    if (rows.length < batchLimit) this.#forgetAllBut([...waiting, ...rows.map(({ id }) => id)]);
    await mapBounded([...Map.groupBy(rows, (row) => row.room)], roomsAtOnce, async ([room, ejections]) => {
      signal.throwIfAborted();
      await this.#workRoom(room, ejections, signal);
    });
    return rows.length === batchLimit;
  }

  /** How many are pending, without touching any: for when LiveKit need not be asked. */
  async count(): Promise<void> {
    const rows = await this.#options.store.pendingEjections([], batchLimit);
    this.#pending = rows.length;
    this.#oldestAtMs = rows[0]?.createdAtMs ?? null;
  }

  /** Restored, granted again, purged, ejected by another enforcer: there is nothing to be tried again. */
  #forgetAllBut(pending: readonly string[]): void {
    const kept = new Set(pending);
    for (const id of this.#retryAtMs.keys()) if (!kept.has(id)) this.#retryAtMs.delete(id);
  }

  async #workRoom(room: string, rows: readonly PendingEjection[], signal: AbortSignal): Promise<void> {
    const { livekit, clock } = this.#options;
    const startedAt = clock.now();
    const evictees = new Map<string, Evictee>();
    // whoever was restored or seated again since the row was written is not to be touched
    const due = new Set<PendingEjection>();
    for (const row of rows) {
      const evictee = judgePending(row);
      if (evictee === null) continue;
      due.add(row);
      evictees.set(row.userId, stricter(evictees.get(row.userId), evictee));
    }
    const outcomes = await ejectFromRoom(livekit, room, [...evictees.values()], { clock, signal });
    for (const row of rows) {
      await this.#settle(row, due.has(row) ? outcomes.get(row.userId) : undefined, startedAt);
    }
  }

  async #settle(
    row: PendingEjection,
    outcome: EjectionOutcome | undefined,
    startedAt: number,
  ): Promise<void> {
    const { store, clock, log, report } = this.#options;
    const { id, streamId, userId, cause, createdAtMs } = row;
    // obsolete ones are done: there is nobody to be ejected any more
    if (outcome === undefined || outcome.kind === 'clean') {
      await store.settleEjection(id, null);
      this.#retryAtMs.delete(id);
    } else {
      const failures = (this.#retryAtMs.get(id)?.failures ?? 0) + 1;
      const waitMs = retryDelayMs(outcome, failures);
      this.#retryAtMs.set(id, { atMs: clock.monotonicMs() + waitMs, failures });
      await store.settleEjection(id, problemOf(outcome));
      const fields = { streamId, userId, failures, waitMs, outcome: outcome.kind };
      log.warn('guard: ejection pending', fields);
    }
    report({
      ...{ streamId, userId, cause, startedAt },
      createdAt: createdAtMs,
      finishedAt: clock.now(),
      outcome: outcome ?? { kind: 'obsolete' },
    });
  }
}
