import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Secret } from '../../kernel/redact.ts';
import { SeatTableFeed } from './seat-table-feed.ts';
import { type Pair, SeatTableRows } from './seat-table-rows.ts';

/** What the table holds about one user on one stream. Times are milliseconds since the epoch; null is never. */
export interface Standing {
  /** Whether this is what the database says now. What is known of a ban holds even when it is not. */
  readonly current: boolean;
  readonly ban: { readonly untilMs: number | null } | null;
  /** An active seat; one that has run out may still stand here. */
  readonly seat: { readonly canPublish: boolean; readonly expiresAtMs: number | null } | null;
}

/** As much of the table as an admission is decided on. */
export interface AdmissionTable {
  standing(streamId: string, userId: string): Standing;
}

export interface SeatTableStatus {
  /** Whether decisions can rest on it. */
  readonly ready: boolean;
  /** Why it is not; null when it is. */
  readonly why: string | null;
  /** How old the newest proof is that nothing is missing; null before the first. */
  readonly ageMs: number | null;
  /** Pairs of a stream and a user that have a ban, a seat or both. */
  readonly pairs: number;
  /** More than this and the table is not ready. */
  readonly pairsLimit: number;
  readonly loads: number;
  readonly rereads: number;
  readonly connects: number;
}

/** Pairs that were read anew, or `all` after a full load. */
export type SeatChange = readonly Pair[] | 'all';

export interface SeatTable extends AdmissionTable {
  /** Idempotent. Resolves when the table is ready, or when the first try to fill it has failed: it goes on trying. */
  start(): Promise<void>;
  /** Idempotent. The table is not current from then on. */
  stop(): Promise<void>;
  status(): SeatTableStatus;
  /** Now by the database's clock, milliseconds since the epoch; this machine's before the first answer. */
  nowMs(): number;
  /** Resolves when no change of this pair is waiting to be read, at once if none is; or after `ms` with false. */
  settled(streamId: string, userId: string, ms: number): Promise<boolean>;
  /** Reads a pair anew, whether it changed or not. Resolves when that is done, or after `ms` with false. */
  refresh(streamId: string, userId: string, ms: number): Promise<boolean>;
  /** Told after the change can be seen. Gives back how to stop listening. */
  onChange(listener: (change: SeatChange) => void): () => void;
}

export interface SeatTableOptions {
  /** It has one connection of its own, for LISTEN: a session pooler will do, a transaction pooler will not. */
  readonly databaseUrl: Secret;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often the feed is proved to be alive; 1 s. */
  readonly heartbeatMs?: number;
  /** Older than this and the table is not current: five heartbeats, so that one slow query is no outage. */
  readonly staleAfterMs?: number;
  /** How often everything is loaded anew: rows of purged runs go without a word. */
  readonly reloadMs?: number;
  /** More rows than this and the table refuses to be ready: some 60 MB at 200,000. */
  readonly rowsLimit?: number;
}

/**
 * Bans and seats in memory, fed by the database: everything at the start and after every reconnect, then pair by
 * pair as changes are told. It is never current on a guess: not before the first load, not while the connection is
 * away, not when the feed is silent, and not for a pair whose change was told and has not been read.
 */
export function createSeatTable(options: SeatTableOptions): SeatTable {
  const { clock, log } = options;
  const rows = new SeatTableRows(options.rowsLimit ?? 200_000);
  const listeners = new Set<(change: SeatChange) => void>();
  const feed = new SeatTableFeed({
    databaseUrl: options.databaseUrl,
    clock,
    log,
    rows,
    heartbeatMs: options.heartbeatMs ?? 1_000,
    staleAfterMs: options.staleAfterMs ?? 5_000,
    reloadMs: options.reloadMs ?? 60_000,
    changed: (change) => {
      for (const listener of listeners) listener(change);
    },
  });
  return {
    start: () => feed.start(),
    stop: () => feed.stop(),
    standing(streamId, userId) {
      const current = feed.whyNotReady() === null && !rows.isUnread(streamId, userId);
      return { current, ...rows.get(streamId, userId) };
    },
    status() {
      const why = feed.whyNotReady();
      return {
        ready: why === null,
        why,
        ageMs: feed.ageMs(),
        pairs: rows.size,
        pairsLimit: rows.limit,
        ...feed.counts(),
      };
    },
    nowMs: () => feed.nowMs(),
    settled: (streamId, userId, ms) => rows.settled(streamId, userId, ms),
    refresh(streamId, userId, ms) {
      feed.tell({ streamId, userId });
      return rows.settled(streamId, userId, ms);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
