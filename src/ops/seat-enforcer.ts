import type pg from 'pg';
import { type Clock, sleep } from '../kernel/clock.ts';
import { messageOf } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import { type LiveKitAdmin, userOfIdentity } from '../target/livekit/admin.ts';
import { type EjectionOutcome, type Evictee, ejectFromRoom } from './ejection.ts';
import { retryDelayMs } from './ejection-retry.ts';
import { activeBansSql, expireDueSeatsSql, listenSeatChangesSql, pendingEjectionsSql } from './seats.sql.ts';
import { settleEjection } from './seats.ts';

/** One ejection the enforcer carried out, or found still to be carried out. Times are `clock.now()`. */
export interface EjectionReport {
  readonly streamId: string;
  readonly userId: string;
  /** Of the outbox row, or `reconciled` for a banned user who was found in a room. */
  readonly cause: string;
  /** When the outbox row was written, by the database's clock; null for `reconciled`. */
  readonly createdAt: number | null;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly outcome: EjectionOutcome | { readonly kind: 'obsolete' };
}

export interface SeatEnforcerOptions {
  /** One of its connections listens for changes, so it needs two at least. */
  readonly database: pg.Pool;
  readonly livekit: LiveKitAdmin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEjected?: (report: EjectionReport) => void;
  /** How often seats past their time are looked for; 1 s, since an expiry is announced to the second. */
  readonly sweepEveryMs?: number;
  /** How often rooms are compared with the bans; 2 s, a listing costs 4–60 ms per room (measured). */
  readonly reconcileEveryMs?: number;
}

export interface SeatEnforcer {
  /** Idempotent. Resolves once changes are being listened for. */
  start(): Promise<void>;
  /** Idempotent. Waits for the calls in flight; what is not ejected by then stays in the outbox. */
  stop(): Promise<void>;
  stats(): { readonly ejected: number; readonly failed: number; readonly pending: number };
}

/** Rows of the outbox taken at once: a burst of 200 revocations is one round, a flood is several. */
const batchLimit = 500;

/** The connection that listens is opened again after this; the sweep goes on meanwhile. */
const listenRetryMs = 500;

/**
 * Carries the seat table out on LiveKit: listens for changes, expires seats whose time is over, works the outbox
 * off and takes banned users out of rooms they came back to. Several may run side by side: every step is idempotent.
 */
export function createSeatEnforcer(options: SeatEnforcerOptions): SeatEnforcer {
  return new Enforcer(options);
}

interface PendingEjection {
  readonly id: string;
  readonly stream_id: string;
  readonly user_id: string;
  readonly room: string;
  readonly cause: string;
  readonly attempts: number;
  readonly created_at_ms: string;
  readonly banned: boolean;
  readonly may_publish: boolean;
}

class Enforcer implements SeatEnforcer {
  readonly #options: SeatEnforcerOptions;
  /** Outbox rows that failed, and when (monotonic) they may be tried again. */
  readonly #retryAtMs = new Map<string, { readonly atMs: number; readonly failures: number }>();
  #stopping = new AbortController();
  #running: Promise<unknown> | undefined;
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();
  #woken = false;
  #reconcileDue = true;
  #ejected = 0;
  #failed = 0;
  #pending = 0;

  constructor(options: SeatEnforcerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#running) return;
    this.#stopping = new AbortController();
    const listening = Promise.withResolvers<void>();
    this.#running = Promise.all([this.#listen(listening.resolve), this.#loop()]);
    await listening.promise;
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the seat enforcer is stopping'));
    this.#wakeUp();
    await this.#running;
    this.#running = undefined;
  }

  stats() {
    return { ejected: this.#ejected, failed: this.#failed, pending: this.#pending };
  }

  /** Keeps one connection listening; `first` is called when it does, or when the first try failed. */
  async #listen(first: () => void): Promise<void> {
    const { database, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let client: pg.PoolClient | undefined;
      let broken: Error | undefined;
      try {
        client = await database.connect();
        const lost = Promise.withResolvers<Error>();
        client.on('error', lost.resolve);
        client.on('end', () => lost.resolve(new Error('the connection ended')));
        client.on('notification', () => this.#wakeUp());
        await client.query(listenSeatChangesSql);
        first();
        // what was told while nobody listened is found by looking
        this.#reconcileDue = true;
        this.#wakeUp();
        broken = await Promise.race([lost.promise, aborted(signal)]);
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error));
      }
      first();
      // never back into the pool: it still listens
      client?.release(true);
      if (signal.aborted) return;
      log.warn('seat enforcer: not listening, will try again', { error: messageOf(broken) });
      await sleep(listenRetryMs, signal).catch(() => {});
    }
  }

  async #loop(): Promise<void> {
    const { clock, log, sweepEveryMs = 1_000, reconcileEveryMs = 2_000 } = this.#options;
    const { signal } = this.#stopping;
    let sweepAtMs = 0;
    let reconcileAtMs = 0;
    while (!signal.aborted) {
      const roundAtMs = clock.monotonicMs();
      try {
        if (roundAtMs >= sweepAtMs) {
          sweepAtMs = clock.monotonicMs() + sweepEveryMs;
          await this.#options.database.query(expireDueSeatsSql, [batchLimit]);
        }
        await this.#workOutbox(signal);
        if (this.#reconcileDue || clock.monotonicMs() >= reconcileAtMs) {
          this.#reconcileDue = false;
          reconcileAtMs = clock.monotonicMs() + reconcileEveryMs;
          await this.#reconcile(signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn('seat enforcer: round failed', { error: messageOf(error) });
      }
      await this.#rest(Math.max(0, this.#nextDueMs(sweepAtMs, roundAtMs) - clock.monotonicMs()));
    }
  }

  /** Waits for a change, or `ms`. A change that came while the last round ran counts. */
  async #rest(ms: number): Promise<void> {
    if (!this.#woken) {
      const timer = setTimeout(() => this.#wakeUp(), ms);
      await this.#wake.promise;
      clearTimeout(timer);
    }
    this.#woken = false;
    this.#wake = Promise.withResolvers();
  }

  #wakeUp(): void {
    this.#woken = true;
    this.#wake.resolve();
  }

  /** What was due by `roundAtMs` has had its turn; when that round failed, the sweep sets the pace. */
  #nextDueMs(sweepAtMs: number, roundAtMs: number): number {
    const retriesAtMs = [...this.#retryAtMs.values()].map(({ atMs }) => atMs);
    return Math.min(sweepAtMs, ...retriesAtMs.filter((atMs) => atMs > roundAtMs));
  }

  async #workOutbox(signal: AbortSignal): Promise<void> {
    const { database, clock } = this.#options;
    const waiting = [...this.#retryAtMs]
      .filter(([, { atMs }]) => atMs > clock.monotonicMs())
      .map(([id]) => id);
    const { rows } = await database.query<PendingEjection>(pendingEjectionsSql, [waiting, batchLimit]);
    this.#pending = rows.length + waiting.length;
    if (rows.length < batchLimit) this.#forgetAllBut([...waiting, ...rows.map(({ id }) => id)]);
    const rooms = Map.groupBy(rows, ({ room }) => room);
    for (const [room, ejections] of rooms) {
      signal.throwIfAborted();
      await this.#workRoom(room, ejections, signal);
    }
  }

  /** Restored, granted again, purged, ejected by another enforcer: there is nothing to be tried again. */
  #forgetAllBut(pending: readonly string[]): void {
    for (const id of this.#retryAtMs.keys()) if (!pending.includes(id)) this.#retryAtMs.delete(id);
  }

  async #workRoom(room: string, ejections: readonly PendingEjection[], signal: AbortSignal): Promise<void> {
    const { livekit, clock } = this.#options;
    const startedAt = clock.now();
    // whoever was restored or seated again since the row was written is not to be touched
    const due = ejections.filter(({ banned, may_publish }) => banned || !may_publish);
    const evictees = new Map<string, Evictee>();
    for (const { user_id: userId, banned } of due) {
      evictees.set(userId, { userId, mayWatch: !banned });
    }
    const outcomes = await ejectFromRoom(livekit, room, [...evictees.values()], { clock, signal });
    for (const ejection of ejections) {
      const outcome = due.includes(ejection) ? outcomes.get(ejection.user_id) : undefined;
      await this.#settle(ejection, outcome, startedAt);
    }
  }

  async #settle(
    ejection: PendingEjection,
    outcome: EjectionOutcome | undefined,
    startedAt: number,
  ): Promise<void> {
    const { database, clock, log } = this.#options;
    const { id, stream_id: streamId, user_id: userId, cause } = ejection;
    // obsolete ones are done: there is nobody to be ejected any more
    const done = outcome === undefined || outcome.kind === 'clean';
    if (done) {
      await settleEjection(database, id, outcome ?? obsoleteOutcome(clock));
      this.#retryAtMs.delete(id);
      this.#ejected += outcome === undefined ? 0 : 1;
    } else {
      const failures = (this.#retryAtMs.get(id)?.failures ?? 0) + 1;
      const waitMs = retryDelayMs(outcome, failures);
      this.#retryAtMs.set(id, { atMs: clock.monotonicMs() + waitMs, failures });
      this.#failed += 1;
      await settleEjection(database, id, outcome);
      log.warn('seat enforcer: ejection pending', {
        streamId,
        userId,
        failures,
        waitMs,
        outcome: outcome.kind,
      });
    }
    const createdAt = Number(ejection.created_at_ms);
    this.#report({ streamId, userId, cause, createdAt, startedAt, outcome: outcome ?? { kind: 'obsolete' } });
  }

  /** Looks into every room somebody is banned from: a ban that nobody was told of, or a user who came back. */
  async #reconcile(signal: AbortSignal): Promise<void> {
    const { database, livekit, clock } = this.#options;
    const { rows } = await database.query<{ room: string; user_id: string }>(activeBansSql, [batchLimit]);
    for (const [room, bans] of Map.groupBy(rows, (row) => row.room)) {
      signal.throwIfAborted();
      const startedAt = clock.now();
      const occupants = await livekit.occupants(room);
      const banned = new Set(bans.map(({ user_id }) => user_id));
      const back = new Set(occupants.map(({ identity }) => userOfIdentity(identity)));
      const evictees = [...back].filter((userId) => banned.has(userId));
      const outcomes = await ejectFromRoom(
        livekit,
        room,
        evictees.map((userId) => ({ userId, mayWatch: false })),
        { clock, signal },
      );
      for (const [userId, outcome] of outcomes) {
        if (outcome.kind === 'clean') this.#ejected += 1;
        else this.#failed += 1;
        this.#report({ streamId: room, userId, cause: 'reconciled', createdAt: null, startedAt, outcome });
      }
    }
  }

  #report(report: Omit<EjectionReport, 'finishedAt'>): void {
    this.#options.onEjected?.({ ...report, finishedAt: this.#options.clock.now() });
  }
}

function obsoleteOutcome(clock: Clock): EjectionOutcome {
  const nowMs = clock.monotonicMs();
  return { kind: 'clean', removed: [], confirmedAtMs: nowMs, cleanAtMs: nowMs };
}

/** Resolves when the signal aborts, with its reason. */
function aborted(signal: AbortSignal): Promise<Error> {
  return new Promise((resolve) => {
    const tell = () =>
      resolve(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    if (signal.aborted) tell();
    else signal.addEventListener('abort', tell, { once: true });
  });
}
