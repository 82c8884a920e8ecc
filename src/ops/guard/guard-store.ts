/** Somebody on a stream; the room of a stream is called by its id. */
export interface SeatPair {
  readonly streamId: string;
  readonly userId: string;
}

/** What the rows say about one user on one stream, by the database's clock. Times are ISO 8601, null: without end. */
export interface SeatFact extends SeatPair {
  /** A ban that holds now. */
  readonly ban: { readonly until: string | null } | null;
  readonly seat: {
    /** `active`, `revoked` or `expired`; one past its time is `expired` even before it was swept. */
    readonly state: string;
    readonly canPublish: boolean;
    readonly expiresAt: string | null;
  } | null;
}

/** A row of the outbox that is not done, with what its user may do by now. */
export interface PendingEjection extends SeatPair {
  readonly id: string;
  readonly room: string;
  /** revoked, banned, expired or downgraded. */
  readonly cause: string;
  readonly createdAtMs: number;
  readonly banned: boolean;
  readonly mayPublish: boolean;
}

/** A room of a live stream that has seats or bans. */
export interface GuardedRoom {
  readonly room: string;
  /** Somebody is to be kept out of it, or silent in it. */
  readonly watched: boolean;
  /** Ids of the last 50 who were banned from it and still are. */
  readonly banned: readonly string[];
}

/** How a guard says that it is there: `guards.state`. */
export interface GuardState {
  readonly version: string;
  readonly host: string;
  readonly livekitUrl: string;
  readonly gateUrl: string | null;
  readonly metricsUrl: string | null;
  readonly source: 'listen' | 'realtime';
  readonly healthy: boolean;
  /** What is wrong, in words; empty when nothing is. */
  readonly alarms: readonly string[];
}

/**
 * The rows as a guard sees them: over a database connection, or over the project's REST API where only that is
 * reachable. Every call has a deadline; what fails is thrown as TF-DB-* or TF-SUP-*.
 */
export interface GuardStore {
  /** Puts seats whose time is over into the outbox. */
  expireDueSeats(limit: number): Promise<void>;
  /** Oldest first. @param except ids to leave out */
  pendingEjections(except: readonly string[], limit: number): Promise<PendingEjection[]>;
  /** Closes a row of the outbox, or with an error counts a failed attempt. */
  settleEjection(id: string, error: string | null): Promise<void>;
  /** Which of these LiveKit rooms there is something to enforce in. */
  guardedRooms(rooms: readonly string[]): Promise<GuardedRoom[]>;
  /** Of these pairs, or of everybody on streams that have not ended. Pairs without a row are left out. */
  seatFacts(pairs: readonly SeatPair[] | null): Promise<SeatFact[]>;
  /** Notes that they are in their rooms now; those without seat or ban are ignored. */
  touchSeats(pairs: readonly SeatPair[]): Promise<void>;
  heartbeat(id: string, state: GuardState): Promise<void>;
  farewell(id: string): Promise<void>;
}
