/** A row of `stream_seats`, as far as its owner must know it. Times are ISO 8601 texts. */
interface SeatRow {
  readonly role: string;
  readonly canPublish: boolean;
  readonly state: string;
  readonly grantedAt: string;
  readonly expiresAt: string | null;
  readonly reason: string | null;
}

/** A ban that has not been lifted. */
interface Ban {
  readonly reason: string | null;
  /** null: for good, or its end is not known yet. */
  readonly until: string | null;
}

/** What the database says about one user on one stream. */
export interface SeatFacts {
  readonly seat: SeatRow | null;
  readonly ban: Ban | null;
}

export type StreamSeat =
  /** Nothing was read yet: show no stage. */
  | { readonly status: 'loading' }
  /** A viewer like any other. */
  | { readonly status: 'none' }
  | {
      readonly status: 'seated';
      readonly role: string;
      /** False after a downgrade: on stage, without camera and microphone. */
      readonly canPublish: boolean;
      readonly grantedAt: string;
      /** null: until somebody takes it. */
      readonly expiresAt: string | null;
    }
  /** Off the stage; may still watch. */
  | { readonly status: 'lost'; readonly cause: 'revoked' | 'expired'; readonly reason: string | null }
  /** Out of the stream. `revoked`: there was a seat too. */
  | {
      readonly status: 'banned';
      readonly cause: 'revoked' | 'banned';
      readonly reason: string | null;
      /** null: for good, or its end is not known yet. */
      readonly until: string | null;
    };

/** Why somebody must leave the room now. */
export interface SeatEjection {
  readonly cause: 'revoked' | 'banned' | 'expired' | 'removed';
  readonly reason: string | null;
  /** When a ban ends; null: never, not known yet, or there is none. */
  readonly until: string | null;
}

/** What the device's idea of the server's time may be off by: half the round trip of a slow line. */
export const clockSlackMs = 1_000;

/**
 * What the facts mean at a time.
 * @param nowMs the server's time, milliseconds since the epoch
 */
export function judgeSeat(facts: SeatFacts, nowMs: number): StreamSeat {
  const { seat, ban } = facts;
  if (ban !== null && !(banEndMs(ban) <= nowMs)) {
    const cause = seat === null || seat.state === 'expired' ? 'banned' : 'revoked';
    return { status: 'banned', cause, reason: ban.reason, until: ban.until };
  }
  if (seat === null) return { status: 'none' };
  if (seatEndMs(seat) > nowMs) {
    const { role, canPublish, grantedAt, expiresAt } = seat;
    return { status: 'seated', role, canPublish, grantedAt, expiresAt };
  }
  // a state that nobody knows is no seat; the row may not have been swept yet, so its time counts as well
  const cause = seat.state === 'revoked' ? 'revoked' : 'expired';
  return { status: 'lost', cause, reason: seat.reason };
}

/** The ejection that a step from one seat to the next is, if it is one. Each loss is told once. */
export function ejectionOf(previous: StreamSeat, next: StreamSeat): SeatEjection | undefined {
  if (next.status === 'banned' && previous.status !== 'banned') {
    return { cause: next.cause, reason: next.reason, until: next.until };
  }
  if (previous.status !== 'seated') return undefined;
  if (next.status === 'lost') return { cause: next.cause, reason: next.reason, until: null };
  return next.status === 'none' ? { cause: 'removed', reason: null, until: null } : undefined;
}

/** When, by the server's clock, the facts will mean something else by themselves; undefined: never. */
export function nextTurnMs(facts: SeatFacts, nowMs: number): number | undefined {
  const times = [banEndMs(facts.ban), seatEndMs(facts.seat)].filter(
    (time) => time > nowMs && time < Infinity,
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

// a time that cannot be read (NaN) is no time left for a seat and no end for a ban: both fail closed

function seatEndMs(seat: SeatRow | null): number {
  if (seat === null || seat.state !== 'active') return Number.NEGATIVE_INFINITY;
  return seat.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(seat.expiresAt);
}

/** A little late, so that the database agrees by then: a ban that began again would eject again. */
function banEndMs(ban: Ban | null): number {
  if (ban === null) return Number.NEGATIVE_INFINITY;
  return ban.until === null ? Number.POSITIVE_INFINITY : Date.parse(ban.until) + clockSlackMs;
}
