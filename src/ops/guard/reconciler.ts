import { mapBounded } from '../../kernel/bounded-map.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { LiveKitAdmin } from '../../target/livekit/admin.ts';
import { type Evictee, ejectFromRoom } from '../ejection.ts';
import type { EjectionReport } from './ejection-report.ts';
import type { GuardStore, SeatFact, SeatPair } from './guard-store.ts';
import { judgeRoom, judgeUser, usersOf } from './room-verdicts.ts';

export interface ReconcilerOptions {
  readonly store: GuardStore;
  readonly livekit: LiveKitAdmin;
  readonly clock: Clock;
  readonly log: Logger;
  readonly report: (report: EjectionReport) => void;
}

/** What one comparison of rooms and rows looked at. */
export interface PassSummary {
  readonly rooms: number;
  readonly users: number;
  /** Users who had to go or be silenced. */
  readonly offenders: number;
  /** Who is banned from a room that somebody is in. */
  readonly bans: readonly SeatPair[];
}

/** Rooms looked into at once: more would delay each other in LiveKit, and an ejection beside them. */
const roomsAtOnce = 4;

/** Rooms without anybody to be kept out are looked into every so many passes: only a token too many could be in there. */
const quietEvery = 5;

/**
 * Compares rooms with rows, presence and permission: what nobody was told of, who came back with an old token, who
 * publishes without a seat. It asks LiveKit first and the database second, so that nobody who was just seated is taken
 * for an intruder.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  #passes = 0;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** @param whole also rooms that nobody has to be kept out of */
  async pass(signal: AbortSignal, whole: boolean): Promise<PassSummary> {
    const { livekit, store } = this.#options;
    const everywhere = whole || this.#passes % quietEvery === 0;
    this.#passes += 1;
    const guarded = await store.guardedRooms(await livekit.rooms());
    const rooms = guarded.filter(({ watched }) => watched || everywhere).map(({ room }) => room);
    const found = await mapBounded(rooms, roomsAtOnce, (room) => this.#room(room, signal));
    const seen = found.flatMap(({ here }) => here);
    await this.#touch(seen);
    const offenders = found.reduce((sum, one) => sum + one.offenders, 0);
    const inhabited = new Set(seen.map(({ streamId }) => streamId));
    const bans = guarded
      .filter(({ room }) => inhabited.has(room))
      .flatMap(({ room, banned }) => banned.map((userId) => ({ streamId: room, userId })));
    return { rooms: rooms.length, users: seen.length, offenders, bans };
  }

  /** Looks at users who are said to have just come in. */
  async lookAt(pairs: readonly SeatPair[], signal: AbortSignal): Promise<void> {
    const facts = await this.#options.store.seatFacts(pairs);
    for (const [room, ofRoom] of Map.groupBy(facts, ({ streamId }) => streamId)) {
      // their sessions are not known here, so they count as publishing; the listing that follows tells
      const evictees = ofRoom.flatMap((fact) => judgeUser(fact.userId, fact, true) ?? []);
      await this.#eject(room, evictees, signal);
    }
    await this.#touch(facts);
  }

  async #room(room: string, signal: AbortSignal): Promise<{ here: SeatPair[]; offenders: number }> {
    signal.throwIfAborted();
    const { livekit, store } = this.#options;
    const occupants = await livekit.occupants(room);
    const here = [...usersOf(occupants).keys()].map((userId) => ({ streamId: room, userId }));
    if (here.length === 0) return { here, offenders: 0 };
    const facts: SeatFact[] = await store.seatFacts(here);
    const evictees = judgeRoom(occupants, facts);
    await this.#eject(room, evictees, signal);
    return { here, offenders: evictees.length };
  }

  async #eject(room: string, evictees: readonly Evictee[], signal: AbortSignal): Promise<void> {
    if (evictees.length === 0) return;
    const { livekit, clock, report } = this.#options;
    const startedAt = clock.now();
    const outcomes = await ejectFromRoom(livekit, room, evictees, { clock, signal });
    for (const [userId, outcome] of outcomes) {
      // looked at and found to be no trouble, or gone by themselves
      if (outcome.kind === 'clean' && outcome.removed.length === 0) continue;
      const finishedAt = clock.now();
      report({
        ...{ streamId: room, userId, cause: 'reconciled', createdAt: null },
        ...{ startedAt, finishedAt, outcome },
      });
    }
  }

  /** That somebody was seen is no reason to fail: the stream may have been purged meanwhile. */
  async #touch(pairs: readonly SeatPair[]): Promise<void> {
    if (pairs.length === 0) return;
    try {
      await this.#options.store.touchSeats(pairs);
    } catch (error) {
      this.#options.log.debug('guard: who is there could not be noted', { error: messageOf(error) });
    }
  }
}
