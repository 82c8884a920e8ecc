import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { redact } from '../../kernel/redact.ts';
import type { LiveKitAdmin } from '../../target/livekit/admin.ts';
import { clockLeadMs } from '../../target/livekit/server-clock.ts';
import type { ChangeSource } from './change-source.ts';
import type { EjectionReport } from './ejection-report.ts';
import type { GuardStore, SeatPair } from './guard-store.ts';
import { type LiveKitState, LiveKitWatch } from './livekit-watch.ts';
import { batchLimit, type OutboxStatus, OutboxWorker } from './outbox-worker.ts';
import { type PassSummary, Reconciler } from './reconciler.ts';
import { WakeableLoop } from './wakeable-loop.ts';

export interface EnforcerOptions {
  readonly store: GuardStore;
  readonly source: ChangeSource;
  readonly livekit: LiveKitAdmin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEjected?: ((report: EjectionReport) => void) | undefined;
  /** After every reconciliation; null for one that could not be carried through. */
  readonly onPass?: ((summary: PassSummary | null) => void) | undefined;
  /** How often seats past their time are looked for; 1 s, since an expiry is announced to the second. */
  readonly sweepEveryMs?: number | undefined;
  /** How often rooms are compared with the rows; 2 s, a listing costs 4–60 ms per room (measured). */
  readonly reconcileEveryMs?: number | undefined;
}

/** How the database fares, by the calls that were made to it. */
export interface DatabaseState {
  readonly ok: boolean;
  readonly message: string | null;
}

export interface EnforcerStatus {
  readonly database: DatabaseState;
  readonly livekit: LiveKitState;
  /** Whether changes are heard of as they happen; without that they are found by looking. */
  readonly listening: boolean;
  readonly outbox: OutboxStatus;
  readonly ejected: number;
  readonly failed: number;
  /** Reconciliations carried through since the start, and how long ago the last one was. */
  readonly passes: number;
  readonly failedPasses: number;
  readonly lastPassAgeMs: number | null;
}

/** From the end of one reconciliation to the next, however many reasons there are (livekit.md §8b: 250 ms). */
const leastGapMs = 250;

/** Users to look at that may wait; beyond it the next reconciliation finds them. */
const arrivalsLimit = 1_000;

/**
 * Carries the seat table out on LiveKit: hears of changes, expires seats whose time is over, works the outbox off and
 * compares rooms with rows. Several may run side by side: every step is idempotent. The outbox has a loop of its own, so
 * that no listing of rooms stands before an ejection.
 */
export class Enforcer {
  readonly #options: EnforcerOptions;
  readonly #outbox: OutboxWorker;
  readonly #reconciler: Reconciler;
  readonly #watch: LiveKitWatch;
  readonly #outboxLoop = new WakeableLoop((signal) => this.#outboxTurn(signal));
  readonly #reconcileLoop = new WakeableLoop((signal) => this.#reconcileTurn(signal));
  readonly #arrivals = new Map<string, SeatPair>();
  #sweepAtMs = 0;
  #reconcileAtMs = 0;
  /** The next reconciliation looks into every room: nobody knows what was missed. */
  #wholeDue = true;
  #listening = false;
  #database: DatabaseState = { ok: true, message: null };
  #ejected = 0;
  #failed = 0;
  #passes = 0;
  #failedPasses = 0;
  #lastPassAtMs: number | null = null;

  constructor(options: EnforcerOptions) {
    this.#options = options;
    const { store, clock, log } = options;
    this.#watch = new LiveKitWatch({
      clock,
      log,
      onUp: () => this.#catchUp(),
      clockLeadMs: () => clockLeadMs(options.livekit.url, clock),
    });
    const livekit = this.#watch.over(options.livekit);
    const report = (ejection: EjectionReport) => this.#report(ejection);
    this.#outbox = new OutboxWorker({ store, livekit, clock, log, report });
    this.#reconciler = new Reconciler({ store, livekit, clock, log, report });
  }

  /** Idempotent. Resolves once changes are heard of, or the first attempt to has failed: it goes on trying. */
  async start(): Promise<void> {
    await this.#options.source.start({
      changed: () => this.#outboxLoop.wake(),
      connected: () => {
        this.#listening = true;
        // what was told while nobody listened is found by looking
        this.#catchUp();
      },
      lost: (reason) => {
        this.#listening = false;
        const fields = { error: redact(reason) };
        this.#options.log.warn('guard: changes are not heard of; looking every second instead', fields);
      },
    });
    this.#outboxLoop.start();
    this.#reconcileLoop.start();
  }

  /** Idempotent. Waits for the calls in flight; what is not ejected by then stays in the outbox. */
  async stop(): Promise<void> {
    await Promise.all([this.#options.source.stop(), this.#outboxLoop.stop(), this.#reconcileLoop.stop()]);
    this.#listening = false;
  }

  /** One sweep, one round of the outbox and one whole reconciliation, without starting anything. @throws TF-DB-*, TF-LK-* */
  async once(signal: AbortSignal): Promise<PassSummary> {
    await this.#options.store.expireDueSeats(batchLimit);
    while (await this.#outbox.work(signal)) signal.throwIfAborted();
    const summary = await this.#reconciler.pass(signal, true);
    this.#passes += 1;
    return summary;
  }

  /** Somebody came into a room: looked at as soon as possible. */
  arrived(pair: SeatPair): void {
    if (this.#arrivals.size >= arrivalsLimit) this.#wholeDue = true;
    else this.#arrivals.set(`${pair.streamId}/${pair.userId}`, pair);
    this.#outboxLoop.wake();
  }

  /** Nobody knows what was missed (a room began, which it also does after LiveKit lost everything): look everywhere, now. */
  reconcile(): void {
    this.#wholeDue = true;
    this.#reconcileLoop.wake();
  }

  status(): EnforcerStatus {
    const last = this.#lastPassAtMs;
    return {
      database: this.#database,
      livekit: this.#watch.state,
      listening: this.#listening,
      outbox: this.#outbox.status(),
      ejected: this.#ejected,
      failed: this.#failed,
      passes: this.#passes,
      failedPasses: this.#failedPasses,
      lastPassAgeMs: last === null ? null : this.#options.clock.monotonicMs() - last,
    };
  }

  #catchUp(): void {
    this.#outbox.forgetDelays();
    this.#outboxLoop.wake();
    this.reconcile();
  }

  async #outboxTurn(signal: AbortSignal): Promise<number> {
    const { clock, sweepEveryMs = 1_000 } = this.#options;
    const turnAtMs = clock.monotonicMs();
    const isSweep = turnAtMs >= this.#sweepAtMs;
    if (isSweep) this.#sweepAtMs = turnAtMs + sweepEveryMs;
    const done = await this.#attempt('the outbox was not worked off', signal, async () => {
      if (isSweep) await this.#options.store.expireDueSeats(batchLimit);
      // a refused key or clock is asked about by the reconciliation, once each time; every row would only repeat it
      if (this.#watch.state.kind === 'refused') {
        await this.#outbox.count();
        return;
      }
      if (await this.#outbox.work(signal)) this.#outboxLoop.wake();
      await this.#lookAtArrivals(signal);
    });
    // what was due has had its turn; when that failed, the sweep sets the pace
    const dueAtMs = done ? Math.min(this.#sweepAtMs, this.#outbox.nextRetryAtMs(turnAtMs)) : this.#sweepAtMs;
    return dueAtMs - clock.monotonicMs();
  }

  async #lookAtArrivals(signal: AbortSignal): Promise<void> {
    const pairs = [...this.#arrivals.values()];
    if (pairs.length === 0) return;
    this.#arrivals.clear();
    await this.#reconciler.lookAt(pairs, signal);
  }

  async #reconcileTurn(signal: AbortSignal): Promise<number> {
    const { clock, onPass, reconcileEveryMs = 2_000 } = this.#options;
    const waitMs = this.#untilPassMs();
    if (waitMs > 0) return waitMs;
    const whole = this.#wholeDue;
    this.#wholeDue = false;
    this.#reconcileAtMs = clock.monotonicMs() + reconcileEveryMs;
    const done = await this.#attempt('rooms were not compared with the rows', signal, async () => {
      const summary = await this.#reconciler.pass(signal, whole);
      this.#passes += 1;
      this.#lastPassAtMs = clock.monotonicMs();
      onPass?.(summary);
    });
    if (!done) {
      this.#failedPasses += 1;
      onPass?.(null);
      this.#wholeDue ||= whole;
      // not at once: the next attempt is due when the next pass is
      return Math.max(0, this.#reconcileAtMs - clock.monotonicMs());
    }
    return this.#untilPassMs();
  }

  #untilPassMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    const dueMs = this.#reconcileAtMs - nowMs;
    if (!this.#wholeDue || dueMs <= 0) return dueMs;
    // a storm of reasons is no reason to do nothing else
    return this.#lastPassAtMs === null ? 0 : Math.min(dueMs, this.#lastPassAtMs + leastGapMs - nowMs);
  }

  /** Runs one turn's work; a failure is told and comes to nothing else. */
  async #attempt(what: string, signal: AbortSignal, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      this.#databaseAnswered();
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const message = redact(messageOf(error));
      if (isDatabaseTrouble(error)) this.#databaseFailed(message);
      // LiveKit's troubles are told by the watch, once
      else if (!isLiveKitTrouble(error)) this.#options.log.warn(`guard: ${what}`, { error: message });
      return false;
    }
  }

  #databaseAnswered(): void {
    if (this.#database.ok) return;
    this.#database = { ok: true, message: null };
    this.#options.log.info('guard: the database answers again');
    this.#catchUp();
  }

  #databaseFailed(message: string): void {
    if (this.#database.ok) {
      this.#options.log.warn('guard: the database cannot be asked; nobody new can be ejected', {
        why: message,
      });
    }
    this.#database = { ok: false, message };
  }

  #report(report: EjectionReport): void {
    const { kind } = report.outcome;
    if (kind === 'clean') this.#ejected += 1;
    else if (kind !== 'obsolete') this.#failed += 1;
    this.#options.onEjected?.(report);
  }
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return typeof code === 'string' ? code : '';
}

function isDatabaseTrouble(error: unknown): boolean {
  return /^TF-(DB|SUP)-/.test(codeOf(error));
}

function isLiveKitTrouble(error: unknown): boolean {
  return codeOf(error).startsWith('TF-LK-');
}
