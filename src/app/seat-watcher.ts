import type { SupabaseClient } from '@supabase/supabase-js';
import { callApp } from './app-callback.ts';
import { isObject } from './json-object.ts';
import { type LiveChannel, openLiveChannel } from './live-channel.ts';
import { onPageAwake } from './page-signals.ts';
import { banOf, readSeat, seatOf } from './seat-rows.ts';
import {
  clockSlackMs,
  ejectionOf,
  judgeSeat,
  nextTurnMs,
  type SeatEjection,
  type SeatFacts,
  type StreamSeat,
} from './seat-state.ts';
import { browserClocks, type LocalClocks, ServerClock } from './server-clock.ts';

export interface SeatView {
  readonly seat: StreamSeat;
  /**
   * `live`: changes arrive as they happen. `polling`: they do not (yet), the row is asked every few seconds.
   * `offline`: nor can it be asked; the seat is what was known last, and still ends when its time is over.
   */
  readonly connection: 'connecting' | 'live' | 'polling' | 'offline';
  /** The last ejection; null again once there is a seat. */
  readonly ejection: SeatEjection | null;
  /** Why the last reading failed; null when it did not. */
  readonly trouble: string | null;
}

export interface SeatWatchOptions {
  /** Signed in as `userId`, by supabase-js' own auth or an `accessToken` of yours. */
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string;
  /** Told of every change, at once. */
  readonly onChange?: (view: SeatView) => void;
  /** Leave the LiveKit room here. Called once per loss, before `onChange`. */
  readonly onEject?: (ejection: SeatEjection) => void;
  /** How often the row is asked although changes arrive, in milliseconds: the longest that a lost event is missed. */
  readonly pollMs?: number;
  /** The device's clocks. */
  readonly clocks?: LocalClocks;
}

export interface SeatWatch {
  readonly view: SeatView;
  /** Reads the row now. Resolves when what was read is in `view`, or could not be read. */
  resync(): Promise<void>;
  /** Idempotent. Nothing is called afterwards. */
  stop(): void;
}

export const initialSeatView: SeatView = {
  seat: { status: 'loading' },
  connection: 'connecting',
  ejection: null,
  trouble: null,
};

/** Lost events are rare, and a thousand viewers are then 33 reads a second by primary key. */
const defaultPollMs = 30_000;
/** While no changes arrive the row is all there is. */
const degradedPollMs = 5_000;
/** A longer wait would hold back the polls behind it. */
const readMs = 8_000;
/** An extension whose event was lost is learnt of before the seat would end: a reading is well under this. */
const expiryLeadMs = 2_000;
/** setTimeout fires at once for more than this. */
const timerMaxMs = 2 ** 31 - 1;

let watches = 0;

/**
 * Watches the caller's own seat on a stream: `stream_seats` and `stream_bans` by Postgres Changes, the row itself
 * after every (re)connect and every `pollMs`, its end by the database's clock.
 *
 * The row is the truth. An event that takes something away is acted on before the row is asked again; one that gives
 * something is believed only when the row says so. A reading that was on its way while an event came is read again.
 */
export function watchStreamSeat(options: SeatWatchOptions): SeatWatch {
  const watcher = new SeatWatcher(options);
  watcher.start();
  return watcher;
}

class SeatWatcher implements SeatWatch {
  readonly #options: SeatWatchOptions;
  readonly #clocks: LocalClocks;
  readonly #serverClock: ServerClock;
  readonly #stop = new AbortController();
  #facts: SeatFacts | undefined;
  #view = initialSeatView;
  #flows = false;
  #channel: LiveChannel | undefined;
  #forgetPage: (() => void) | undefined;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #turnTimer: ReturnType<typeof setTimeout> | undefined;
  #reading: Promise<void> | undefined;
  #readAgain = false;
  /** Tells a reading whether a change came while it was on its way. */
  #changesSeen = 0;

  constructor(options: SeatWatchOptions) {
    this.#options = options;
    this.#clocks = options.clocks ?? browserClocks;
    this.#serverClock = new ServerClock(this.#clocks);
  }

  get view(): SeatView {
    return this.#view;
  }

  start(): void {
    const { supabase, streamId, userId } = this.#options;
    // the row can be read long before changes flow
    void this.resync();
    this.#forgetPage = onPageAwake(() => this.#refresh());
    // RLS shows a user their own rows only; a filter takes one column, so other streams are sorted out here
    const filter = `user_id=eq.${userId}`;
    watches += 1;
    this.#channel = openLiveChannel({
      supabase,
      // supabase-js gives out one object per topic, and two watches must not end each other
      topic: `seat:${streamId}:${userId}:${watches}`,
      listen: (channel) => {
        const on = (table: string, act: (row: Readonly<Record<string, unknown>>) => void) =>
          channel.on('postgres_changes', { event: '*', schema: 'public', table, filter }, (payload) =>
            this.#onChange(payload.new, act),
          );
        on('stream_seats', (row) => this.#onSeatRow(row));
        on('stream_bans', (row) => this.#onBanRow(row));
      },
      onFlow: (flows) => this.#onFlow(flows),
    });
  }

  stop(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    clearTimeout(this.#pollTimer);
    clearTimeout(this.#turnTimer);
    this.#forgetPage?.();
    this.#channel?.stop();
  }

  resync(): Promise<void> {
    // what is on its way was asked before now
    this.#readAgain = true;
    this.#reading ??= this.#readUntilSettled();
    return this.#reading;
  }

  async #readUntilSettled(): Promise<void> {
    try {
      while (this.#readAgain && !this.#stop.signal.aborted) {
        this.#readAgain = false;
        await this.#read();
      }
    } finally {
      // in the same breath as the last look at #readAgain: whoever asks from here on starts a reading of their own
      this.#reading = undefined;
      this.#planPoll();
    }
  }

  async #read(): Promise<void> {
    const changesSeen = this.#changesSeen;
    const startedMs = this.#clocks.steadyMs();
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(readMs)]);
    const reading = await readSeat(this.#options.supabase, this.#options, signal);
    if (this.#stop.signal.aborted) return;
    if (!reading.ok) {
      this.#show({ trouble: reading.message });
      return;
    }
    this.#serverClock.observe(reading.serverMs, this.#clocks.steadyMs() - startedMs);
    // a change that came meanwhile asked for another reading: this one may be older than it
    if (changesSeen === this.#changesSeen) this.#facts = reading.facts;
    this.#judge({ trouble: null });
  }

  #onFlow(flows: boolean): void {
    this.#flows = flows;
    this.#show({});
    // what happened until now may have been missed
    if (flows) void this.resync();
    else this.#planPoll();
  }

  #onChange(row: unknown, act: (row: Readonly<Record<string, unknown>>) => void): void {
    if (this.#stop.signal.aborted) return;
    // a deleted row, or one of columns we may not see, is a reason to ask
    const isOther = isObject(row) && 'stream_id' in row && row.stream_id !== this.#options.streamId;
    if (isOther) return;
    this.#changesSeen += 1;
    if (isObject(row) && 'stream_id' in row) act(row);
    this.#refresh();
  }

  #onSeatRow(row: Readonly<Record<string, unknown>>): void {
    const seat = seatOf(row);
    const ban = this.#facts?.ban ?? null;
    if (seat?.state === 'revoked') {
      // `revoke_seat` bans in the same transaction; until its row is here the end of the ban is unknown
      this.#facts = { seat, ban: ban ?? { reason: seat.reason, until: null } };
    } else if (seat !== null && (seat.state !== 'active' || this.#isDowngrade(seat))) {
      this.#facts = { seat, ban };
    }
  }

  /** To whom has no seat, one without camera and microphone is given, not taken. */
  #isDowngrade(seat: NonNullable<SeatFacts['seat']>): boolean {
    return !seat.canPublish && this.#view.seat.status === 'seated';
  }

  #onBanRow(row: Readonly<Record<string, unknown>>): void {
    if (row.lifted_at === null) this.#facts = { seat: this.#facts?.seat ?? null, ban: banOf(row) };
  }

  /** Acts on what is known, then asks. */
  #refresh(): void {
    this.#judge();
    void this.resync();
  }

  /** Shows what the facts mean now, and comes back when they will mean something else. */
  #judge(changes: Partial<SeatView> = {}): void {
    const facts = this.#facts;
    if (facts === undefined) {
      this.#show(changes);
      return;
    }
    // what has ended begins again only with time in hand: the next answer may put the clock back by a few milliseconds
    const slackMs = this.#view.seat.status === 'lost' ? clockSlackMs : 0;
    const nowMs = this.#serverClock.nowMs() + slackMs;
    const turnMs = nextTurnMs(facts, nowMs);
    clearTimeout(this.#turnTimer);
    if (turnMs !== undefined) {
      // at least a millisecond: a timer that fires a touch early would otherwise spin
      const waitMs = Math.min(Math.max(turnMs - nowMs, 1), timerMaxMs);
      this.#turnTimer = setTimeout(() => this.#refresh(), waitMs);
    }
    this.#show({ ...changes, seat: judgeSeat(facts, nowMs) });
  }

  #show(changes: Partial<SeatView>): void {
    const before = this.#view;
    const after = { ...before, ...changes };
    const ejection = ejectionOf(before.seat, after.seat);
    const view: SeatView = {
      ...after,
      connection: this.#connection(after.trouble),
      ejection: ejection ?? (after.seat.status === 'seated' ? null : before.ejection),
    };
    if (isSame(before, view)) return;
    this.#view = view;
    if (ejection !== undefined) callApp(this.#options.onEject, ejection);
    // the caller may have stopped the watch in onEject
    if (!this.#stop.signal.aborted) callApp(this.#options.onChange, view);
  }

  #connection(trouble: string | null): SeatView['connection'] {
    if (this.#flows) return 'live';
    if (trouble !== null) return 'offline';
    return this.#facts === undefined ? 'connecting' : 'polling';
  }

  #planPoll(): void {
    clearTimeout(this.#pollTimer);
    if (this.#stop.signal.aborted) return;
    const pollMs = this.#options.pollMs ?? defaultPollMs;
    const everyMs = this.#flows && this.#view.trouble === null ? pollMs : Math.min(pollMs, degradedPollMs);
    // spread out: everybody in a room connects at the same moment when a server comes back
    const waitMs = Math.min(everyMs * (0.9 + Math.random() * 0.2), this.#msToExpiryCheck());
    this.#pollTimer = setTimeout(() => void this.resync(), waitMs);
  }

  #msToExpiryCheck(): number {
    const { seat } = this.#view;
    if (seat.status !== 'seated' || seat.expiresAt === null) return Number.POSITIVE_INFINITY;
    const leftMs = Date.parse(seat.expiresAt) - this.#serverClock.nowMs() - expiryLeadMs;
    return leftMs > 0 ? leftMs : Number.POSITIVE_INFINITY;
  }
}

function isSame(a: SeatView, b: SeatView): boolean {
  // a handful of flat values
  return JSON.stringify(a) === JSON.stringify(b);
}
