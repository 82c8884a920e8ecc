import type { ArrivalModel } from './arrivals.ts';
import { GeneratorMonitor, lateAfterMs } from './generator-health.ts';
import { InFlightTable } from './in-flight.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { IntervalRow, LoadCounts, LoadResult } from './load-result.ts';
import { TimeoutWheel } from './timeout-wheel.ts';

export type Outcome = 'ok' | 'rejected' | 'error';

/**
 * Ends an operation. Calls after the first, or after its timeout, change nothing but the count of late answers.
 * @param reason a short, bounded text for what was not ok: a status, a code; never an id
 * @returns whether it was this call that ended it
 */
export type Settle = (token: number, outcome: Outcome, reason?: string) => boolean;

/**
 * Begins operation `index`, due at `intendedMs` (performance.now() time). It must not block; the answer comes by
 * `settle` with the token, whenever it comes. A throw is an error of this operation.
 */
export type Operation = (token: number, index: number, intendedMs: number, settle: Settle) => void;

export interface OpenLoopOptions {
  readonly arrivals: ArrivalModel;
  readonly durationMs: number;
  readonly operation: Operation;
  /**
   * The first part of the run, usually the ramp: it is in every count and latency, but not in `offeredPerS` and
   * `achievedPerS`, which describe the steady part after it.
   */
  readonly warmupMs?: number;
  /** An operation without an answer this long after it was sent is a timeout. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called about once a second, with the row of that second. */
  readonly onInterval?: (row: IntervalRow) => void;
  /** This run takes the arrivals worker, worker+of, worker+2·of …; one worker takes all. */
  readonly share?: { readonly worker: number; readonly of: number };
  /** Operations waiting for answers at once; by default what the peak rate can leave waiting within the timeout. */
  readonly maxInFlight?: number;
}

/** Sends of one tick are cut here, so that reads get their turn: 2,000 sends are some 10 ms of work. */
const maxPerTick = 2000;
/** Sleeping longer would make timeouts and the next arrival late when the rate is low. */
const longestSleepMs = 10;
const intervalMs = 1000;
/** Room for a server that answers nothing, but not for more than this many rows of the tables (some 10 MB). */
const inFlightBounds = { least: 1024, most: 262_144 } as const;
/** After an interruption answers already under way still count for this long; the load itself has stopped. */
const interruptGraceMs = 500;
const maxReasons = 32;

/**
 * Makes load at the times the arrival model says, whatever the target does: arrivals are begun in batches at 1 ms
 * ticks, none is dropped or shifted, and each latency is taken from the instant the operation was due.
 * Memory is fixed by the options, not by the length of the run.
 */
export function runOpenLoop(options: OpenLoopOptions): Promise<LoadResult> {
  return new OpenLoop(options).run();
}

class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #step: number;
  readonly #total: number;
  readonly #warmupMs: number;
  readonly #table: InFlightTable;
  readonly #monitor: GeneratorMonitor;
  readonly #counts = { sent: 0, ok: 0, rejected: 0, errors: 0, timeouts: 0, unfinished: 0, lateAnswers: 0 };
  readonly #reasons = new Map<string, number>();
  readonly #whole = newLatency();
  readonly #interval = newLatency();
  readonly #onAbort = () => this.#interrupt();
  readonly #expire = (slot: number) => this.#end(slot, 'timeouts', performance.now());
  readonly #settle: Settle = (token, outcome, reason) => this.#answer(token, outcome, reason);
  #wheel: TimeoutWheel;
  #startMs = 0;
  #nextIndex: number;
  #heldBack = 0;
  #steadyOk = 0;
  #lastSteadyOkMs = 0;
  #intervalEndMs = 0;
  #before = { offered: 0, sent: 0, ok: 0, rejected: 0, errors: 0, timeouts: 0 };
  #interruptedAtMs: number | undefined;
  #resolve: ((result: LoadResult) => void) | undefined;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
    const share = options.share ?? { worker: 0, of: 1 };
    this.#step = share.of;
    this.#nextIndex = share.worker;
    this.#total = options.arrivals.countWithin(options.durationMs);
    this.#warmupMs = options.warmupMs ?? 0;
    this.#table = new InFlightTable(options.maxInFlight ?? inFlightFor(options));
    this.#wheel = new TimeoutWheel(this.#table.capacity, performance.now());
    this.#monitor = new GeneratorMonitor();
  }

  run(): Promise<LoadResult> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#monitor.start();
      this.#startMs = performance.now();
      this.#wheel = new TimeoutWheel(this.#table.capacity, this.#startMs);
      this.#intervalEndMs = intervalMs;
      this.#options.signal.addEventListener('abort', this.#onAbort, { once: true });
      if (this.#options.signal.aborted) this.#interrupt();
      this.#tick();
    });
  }

  #tick(): void {
    const now = performance.now();
    this.#wheel.advance(now, this.#expire);
    const more = this.#startDue(now);
    if (now - this.#startMs >= this.#intervalEndMs) this.#closeInterval(now - this.#startMs);
    if (this.#isOver(now)) this.#finish(now);
    else if (more) setImmediate(() => this.#tick());
    else setTimeout(() => this.#tick(), this.#sleepMs(now));
  }

  /** @returns whether arrivals are due that the cap left for the next tick */
  #startDue(now: number): boolean {
    if (this.#interruptedAtMs !== undefined || this.#isTooLate(now)) return false;
    const { arrivals } = this.#options;
    for (let begun = 0; this.#nextIndex < this.#total; begun++) {
      const intendedMs = this.#startMs + arrivals.dueMs(this.#nextIndex);
      if (intendedMs > now) return false;
      if (this.#table.full) {
        this.#heldBack++;
        return false;
      }
      if (begun === maxPerTick) return true;
      this.#begin(this.#nextIndex, intendedMs);
      this.#nextIndex += this.#step;
    }
    return false;
  }

  #begin(index: number, intendedMs: number): void {
    const sentMs = performance.now();
    const slot = this.#table.take(intendedMs, sentMs);
    const token = this.#table.tokenOf(slot);
    this.#wheel.set(slot, sentMs + this.#options.timeoutMs);
    this.#counts.sent++;
    this.#interval.intendedToSend.recordMs(sentMs - intendedMs);
    try {
      this.#options.operation(token, index, intendedMs, this.#settle);
    } catch (error) {
      this.#answer(token, 'error', error instanceof Error ? error.message : String(error));
    }
  }

  #answer(token: number, outcome: Outcome, reason: string | undefined): boolean {
    const slot = this.#table.slotOf(token);
    if (slot < 0) {
      this.#counts.lateAnswers++;
      return false;
    }
    if (reason !== undefined) this.#countReason(reason);
    this.#end(slot, outcome === 'error' ? 'errors' : outcome, performance.now());
    return true;
  }

  #end(slot: number, as: 'ok' | 'rejected' | 'errors' | 'timeouts', now: number): void {
    this.#counts[as]++;
    // refusals and errors answer fast and would flatter the latency; a timeout took at least this long
    if (as === 'ok' || as === 'timeouts') {
      this.#interval.intendedToAnswer.recordMs(now - this.#table.intendedMs(slot));
      this.#interval.sendToAnswer.recordMs(now - this.#table.sentMs(slot));
    }
    if (as === 'ok' && this.#table.intendedMs(slot) - this.#startMs >= this.#warmupMs) {
      this.#steadyOk++;
      this.#lastSteadyOkMs = now - this.#startMs;
    }
    this.#wheel.clear(slot);
    this.#table.release(slot);
  }

  #countReason(reason: string): void {
    const key = this.#reasons.has(reason) || this.#reasons.size < maxReasons ? reason : 'other';
    this.#reasons.set(key, (this.#reasons.get(key) ?? 0) + 1);
  }

  #sleepMs(now: number): number {
    if (this.#nextIndex >= this.#total || this.#table.full) return longestSleepMs;
    const untilNext = this.#startMs + this.#options.arrivals.dueMs(this.#nextIndex) - now;
    // setTimeout sleeps about 0.15 ms more than asked (load-engine.md §8a), so round down
    return Math.max(1, Math.min(longestSleepMs, Math.floor(untilNext)));
  }

  #interrupt(): void {
    this.#interruptedAtMs ??= performance.now();
  }

  /** Arrivals held back by a target that answers nothing are given up when the last one would have timed out. */
  #isTooLate(now: number): boolean {
    return now - this.#startMs > this.#options.durationMs + this.#options.timeoutMs;
  }

  #isOver(now: number): boolean {
    if (this.#interruptedAtMs !== undefined) {
      return this.#table.size === 0 || now - this.#interruptedAtMs > interruptGraceMs;
    }
    return this.#table.size === 0 && (this.#nextIndex >= this.#total || this.#isTooLate(now));
  }

  #closeInterval(elapsedMs: number): void {
    const offered = this.#offeredUntil(elapsedMs);
    const { sent, ok, rejected, errors, timeouts } = this.#counts;
    const { intendedToAnswer, intendedToSend } = this.#interval;
    const at = (percent: number) =>
      intendedToAnswer.count === 0 ? null : intendedToAnswer.percentileMs(percent);
    this.#options.onInterval?.({
      t: Math.round(elapsedMs) / 1000,
      offered: offered - this.#before.offered,
      sent: sent - this.#before.sent,
      ok: ok - this.#before.ok,
      rejected: rejected - this.#before.rejected,
      errors: errors - this.#before.errors,
      timeouts: timeouts - this.#before.timeouts,
      inFlight: this.#table.size,
      lagMsP99: intendedToSend.percentileMs(99),
      p50: at(50),
      p95: at(95),
      p99: at(99),
      max: intendedToAnswer.count === 0 ? null : intendedToAnswer.maxMs,
    });
    this.#before = { offered, sent, ok, rejected, errors, timeouts };
    for (const name of latencyNames) {
      this.#whole[name].add(this.#interval[name]);
      this.#interval[name].reset();
    }
    while (this.#intervalEndMs <= elapsedMs) this.#intervalEndMs += intervalMs;
  }

  /** Arrivals of this share due by then. */
  #offeredUntil(elapsedMs: number): number {
    const { durationMs } = this.#options;
    const untilMs = Math.min(
      elapsedMs,
      durationMs,
      this.#interruptedAtMs === undefined ? durationMs : this.#interruptedAtMs - this.#startMs,
    );
    return this.#dueUntil(untilMs);
  }

  #dueUntil(ms: number): number {
    const { arrivals, share } = this.#options;
    const all = arrivals.countWithin(ms);
    return Math.max(0, Math.ceil((all - (share?.worker ?? 0)) / this.#step));
  }

  #finish(now: number): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    for (const slot of this.#table.slots()) {
      this.#counts.unfinished++;
      this.#table.release(slot);
    }
    const elapsedMs = now - this.#startMs;
    this.#closeInterval(elapsedMs);
    const { durationMs, arrivals } = this.#options;
    // an arrival may come due between the last tick and the interruption: it was begun or it was never offered
    const offered = this.#interruptedAtMs === undefined ? this.#offeredUntil(elapsedMs) : this.#counts.sent;
    const counts: LoadCounts = { offered, ...this.#counts, unsent: offered - this.#counts.sent };
    const endMs = this.#interruptedAtMs === undefined ? durationMs : this.#interruptedAtMs - this.#startMs;
    const steadyMs = Math.max(1, endMs - this.#warmupMs);
    const answeredMs = Math.max(steadyMs, this.#lastSteadyOkMs - this.#warmupMs);
    const late = this.#whole.intendedToSend.countAboveMs(lateAfterMs);
    this.#resolve?.({
      arrivals: arrivals.description,
      durationMs,
      elapsedMs,
      counts,
      reasons: Object.fromEntries(this.#reasons),
      latency: this.#whole,
      offeredPerS: ((this.#dueUntil(endMs) - this.#dueUntil(this.#warmupMs)) * 1000) / steadyMs,
      achievedPerS: (this.#steadyOk * 1000) / answeredMs,
      generator: this.#monitor.stop(
        { late, started: counts.sent, lateAfterMs },
        this.#heldBackReasons(counts),
      ),
      interrupted: this.#interruptedAtMs !== undefined,
    });
  }

  #heldBackReasons(counts: LoadCounts): string[] {
    if (this.#heldBack === 0) return [];
    return [
      `${this.#table.capacity} operations waited for answers at once, so arrivals were held back in ${this.#heldBack} ticks; ${counts.unsent} were never begun`,
    ];
  }
}

const latencyNames = ['intendedToAnswer', 'sendToAnswer', 'intendedToSend'] as const;

function newLatency(): Record<(typeof latencyNames)[number], LatencyHistogram> {
  return {
    intendedToAnswer: new LatencyHistogram(),
    sendToAnswer: new LatencyHistogram(),
    intendedToSend: new LatencyHistogram(),
  };
}

function inFlightFor(options: OpenLoopOptions): number {
  const waiting = Math.ceil((options.arrivals.peakRatePerS * options.timeoutMs) / 1000);
  return Math.min(inFlightBounds.most, Math.max(inFlightBounds.least, waiting));
}
