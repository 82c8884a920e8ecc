import { constantArrivals } from '../../engine/constant-arrivals.ts';
import { type GeneratorHealth, GeneratorMonitor, lateAfterMs } from '../../engine/generator-health.ts';
import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { runOpenLoop } from '../../engine/open-loop.ts';
import { promiseOperation } from '../../engine/promise-operation.ts';
import { mapBounded } from '../../kernel/bounded-map.ts';
import { sleep } from '../../kernel/clock.ts';
import { isIdentityOf, type LiveKitAdmin, liveKitAdmin } from '../../target/livekit/admin.ts';
import type { ProbeContext } from '../probe.ts';
import { openSeatCohort, type SeatCohort } from '../seat-cohort.ts';
import type { SeatPlace } from './place.ts';
import { Crowd, type Member, type MemberKind } from './storm-crowd.ts';

export interface StormPlan {
  /** Participants that only talk to the signal socket. */
  readonly users: number;
  /** Participants with a media connection, beside those. */
  readonly active: number;
  /** Joins per second, open-loop; and at most so many single revocations while the crowd is held. */
  readonly ratePerS: number;
  /** How long the crowd is held in the rooms before half of it is thrown out at once. */
  readonly holdMs: number;
}

/** Times that follow from LiveKit's minute; tests have less of it. */
export interface StormTimes {
  /** How long somebody without media stays before joining anew. */
  readonly recycleAfterMs: number;
  /** How long somebody whose seat was taken has to be out. */
  readonly ejectionMs: number;
}

export interface StormFindings {
  readonly plan: StormPlan;
  readonly rooms: number;
  readonly joined: Readonly<Record<MemberKind, number>>;
  readonly joinMs: Readonly<Record<MemberKind, LatencyHistogram>>;
  readonly turnedAway: Readonly<Record<string, number>>;
  readonly recycled: number;
  /** Members listed as ACTIVE by the server when everybody was in. */
  readonly activeByWitness: number;
  /** Members that had joined and were not listed when everybody was in. */
  readonly unseen: number;
  /** Single revocations while the crowd was held: COMMIT sent → `leave` received. */
  readonly single: LatencyHistogram;
  /** The same of those revoked at once, by kind. */
  readonly storm: Readonly<Record<MemberKind, LatencyHistogram>>;
  readonly revoked: number;
  readonly ejected: number;
  /** Revoked, and their connection was closed before anybody told them to leave. */
  readonly cut: number;
  /** Revoked, and neither told to leave nor cut off in time: how they ended, with how often. */
  readonly missed: Readonly<Record<string, number>>;
  /** Revoked, and still listed (under any alias) when the witness gave up. */
  readonly stillInRoom: number;
  /** From the last COMMIT until the witness saw none of the revoked; null when it never did. */
  readonly witnessCleanMs: number | null;
  /** Kept their seats. */
  readonly legit: number;
  /** Kept their seats and were ejected all the same. */
  readonly legitEjected: number;
  /** Gone without having been ejected, seat or not: the server's timeout, a connection that broke. */
  readonly lost: Readonly<Record<string, number>>;
  /** Kept their seats and were not listed at the end. */
  readonly legitUnseen: number;
  readonly generator: GeneratorHealth;
}

/** Every join and leave is told to everybody in the room: with more in one, this process mostly reads that. */
const membersPerRoom = 100;

/** ICE and DTLS of many at once make each other late; these are few and need not hurry. */
const activeJoinsAtOnce = 4;

/** A join that takes longer than this has its own deadline in the participant. */
const joinTimeoutMs = 12_000;

/**
 * LiveKit drops a participant without media after 60.15 s. Ten seconds before that they join anew, and whoever is
 * revoked just then has eight: nobody is ever seen to leave by that timeout, which must not pass for an ejection.
 */
const stormTimes: StormTimes = { recycleAfterMs: 50_000, ejectionMs: 8_000 };

/** A list of 100 takes 4 to 60 ms: more often than this the witness would be the load. */
const witnessEveryMs = 100;

/** Of the half that is revoked, this share goes one by one while the crowd is held. */
const singleShare = 1 / 3;

/**
 * Fills rooms at a fixed rate, holds everybody there (joining anew before LiveKit's minute is over) while single seats
 * are revoked, then revokes half of all that are left in one statement per room; LiveKit's own list is the witness.
 * Something else must carry the revocations out.
 */
export async function measureStorm(
  context: ProbeContext,
  place: SeatPlace,
  plan: StormPlan,
  times: StormTimes = stormTimes,
): Promise<StormFindings> {
  const people = plan.users + plan.active;
  const streams = Math.ceil(people / membersPerRoom);
  const cohort = await openSeatCohort(context, { users: people, streams, name: 'storm' });
  const crowd = new Crowd(context, place, 'given');
  const admin = liveKitAdmin(place.livekit);
  try {
    return await new Storm(context, { cohort, crowd, admin, plan, times }).run();
  } finally {
    await crowd.close();
    await Promise.allSettled(cohort.streams.map((streamId) => admin.deleteRoom(streamId)));
    await cohort.close();
  }
}

interface StormParts {
  readonly cohort: SeatCohort;
  readonly crowd: Crowd;
  readonly admin: LiveKitAdmin;
  readonly plan: StormPlan;
  readonly times: StormTimes;
}

class Storm {
  readonly #context: ProbeContext;
  readonly #parts: StormParts;
  readonly #single = new LatencyHistogram();
  readonly #storm = { signal: new LatencyHistogram(), active: new LatencyHistogram() };
  #lastCommitAtMs = 0;

  constructor(context: ProbeContext, parts: StormParts) {
    this.#context = context;
    this.#parts = parts;
  }

  async run(): Promise<StormFindings> {
    const { crowd, cohort, plan, times } = this.#parts;
    await this.#fill();
    const present = await this.#roll();
    const victims = this.#victims();
    const singles = victims.slice(0, this.#singles(victims.length));
    const monitor = new GeneratorMonitor().start();
    await this.#hold(singles);
    // what follows takes seconds where the target fails: nobody who keeps a seat may come to the minute meanwhile
    await crowd.recycleDue(times.recycleAfterMs / 2);
    await this.#revokeAtOnce(victims.slice(singles.length));
    const generator = monitor.stop({ late: 0, started: crowd.members.length, lateAfterMs });
    const { stillInRoom, cleanMs } = await this.#untilClean();
    const after = await this.#roll();
    const revoked = crowd.members.filter(({ revokedAtMs }) => revokedAtMs !== null);
    const legit = crowd.members.filter(({ revokedAtMs }) => revokedAtMs === null);
    const joined = (kind: MemberKind) => crowd.members.filter((member) => member.kind === kind).length;
    return {
      ...{ plan, rooms: cohort.streams.length, generator, stillInRoom, witnessCleanMs: cleanMs },
      joined: { signal: joined('signal'), active: joined('active') },
      joinMs: crowd.joinMs,
      turnedAway: Object.fromEntries(crowd.turnedAway),
      recycled: crowd.recycled,
      activeByWitness: present.active,
      unseen: present.missing.length,
      single: this.#single,
      storm: this.#storm,
      revoked: revoked.length,
      ejected: revoked.filter(({ state }) => state === 'ejected').length,
      cut: revoked.filter(({ state }) => state === 'cut').length,
      missed: countBy(revoked.filter(({ state }) => state === 'in' || state === 'lost').map(howOf)),
      legit: legit.length,
      legitEjected: legit.filter(({ state }) => state === 'ejected').length,
      lost: countBy(crowd.members.filter(({ state }) => state === 'lost').map(howOf)),
      legitUnseen: after.missing.filter(({ revokedAtMs, state }) => revokedAtMs === null && state === 'in')
        .length,
    };
  }

  /** Seats for everybody; those with media first, then the storm of joins. */
  async #fill(): Promise<void> {
    const { crowd, cohort, plan } = this.#parts;
    const { signal, progress } = this.#context;
    const seats = cohort.users.map((user, index) => ({ user, streamId: this.#streamOf(index) }));
    for (const streamId of cohort.streams) {
      const ids = seats.filter((seat) => seat.streamId === streamId).map(({ user }) => user.id);
      await cohort.grant(streamId, ids);
    }
    await mapBounded(seats.slice(0, plan.active), activeJoinsAtOnce, ({ user, streamId }) =>
      crowd.admit(user, streamId, 'active'),
    );
    const others = seats.slice(plan.active);
    await runOpenLoop({
      arrivals: constantArrivals(plan.ratePerS),
      durationMs: (others.length * 1000) / plan.ratePerS,
      timeoutMs: joinTimeoutMs,
      signal,
      operation: promiseOperation(async (index) => {
        const seat = others[index];
        if (seat === undefined) return { outcome: 'error', reason: 'no seat' };
        const member = await crowd.admit(seat.user, seat.streamId, 'signal');
        return member === null ? { outcome: 'rejected', reason: 'turned away' } : 'ok';
      }),
      onInterval: () =>
        progress({ kind: 'note', text: `storm: ${crowd.members.length} of ${seats.length} in` }),
    });
    signal.throwIfAborted();
  }

  #streamOf(index: number): string {
    const { streams } = this.#parts.cohort;
    const streamId = streams[index % streams.length];
    if (streamId === undefined) throw new Error('the synthetic run has no stream');
    return streamId;
  }

  /** Every second member of each kind, so that every room keeps people and loses people. */
  #victims(): Member[] {
    const { members } = this.#parts.crowd;
    const half = (kind: MemberKind) =>
      members.filter((member) => member.kind === kind).filter((_, index) => index % 2 === 0);
    // those with media last: they belong into the storm
    return [...half('signal'), ...half('active')];
  }

  #singles(victims: number): number {
    const { ratePerS, holdMs } = this.#parts.plan;
    return Math.min(Math.floor(victims * singleShare), Math.floor((ratePerS * holdMs) / 1000));
  }

  /** Keeps everybody in while single seats are revoked, spread over the time. */
  async #hold(singles: readonly Member[]): Promise<void> {
    const { crowd, plan, times } = this.#parts;
    const { clock, signal, progress } = this.#context;
    progress({ kind: 'step', text: `storm: ${crowd.members.length} people are held` });
    const endsAtMs = clock.monotonicMs() + plan.holdMs;
    const everyMs = singles.length === 0 ? plan.holdMs : plan.holdMs / singles.length;
    let [next, dueAtMs] = [0, clock.monotonicMs()];
    let notedAtMs = dueAtMs;
    while (clock.monotonicMs() < endsAtMs) {
      await crowd.recycleDue(times.recycleAfterMs);
      const member = singles[next];
      if (member !== undefined && clock.monotonicMs() >= dueAtMs) {
        next += 1;
        dueAtMs += everyMs;
        await this.#revoke(member.streamId, [member]);
        recordEjection(this.#single, member);
        // where nobody ejects anybody, one has shown it
        if (member.end === null) next = singles.length;
      }
      if (clock.monotonicMs() - notedAtMs >= 5_000) {
        notedAtMs = clock.monotonicMs();
        progress({ kind: 'note', text: `storm: held, ${next} revoked, ${crowd.recycled} joined anew` });
      }
      const restMs = Math.min(dueAtMs, endsAtMs) - clock.monotonicMs();
      await sleep(Math.max(1, Math.min(restMs, 250)), signal);
    }
  }

  /** One statement per room, all rooms together. */
  async #revokeAtOnce(victims: readonly Member[]): Promise<void> {
    this.#context.progress({ kind: 'step', text: `storm: ${victims.length} seats revoked at once` });
    const byRoom = [...Map.groupBy(victims, ({ streamId }) => streamId)];
    await Promise.all(byRoom.map(([streamId, members]) => this.#revoke(streamId, members)));
    for (const member of victims) recordEjection(this.#storm[member.kind], member);
  }

  /** Takes the seats away and waits until each holder has ended, or the time is over. */
  async #revoke(streamId: string, victims: readonly Member[]): Promise<void> {
    const { clock, series } = this.#context;
    // whoever is gone already was ejected with a seat, or lost, and counts as that
    const members = victims.filter(({ state }) => state === 'in');
    if (members.length === 0) return;
    const before = clock.monotonicMs();
    // from now on an ejection is deserved; the exact moment follows
    for (const member of members) member.revokedAtMs = before;
    const { commitSentAtMs } = await this.#parts.cohort.revoke(
      streamId,
      members.map(({ user }) => user.id),
    );
    for (const member of members) member.revokedAtMs = commitSentAtMs;
    this.#lastCommitAtMs = Math.max(this.#lastCommitAtMs, commitSentAtMs);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#parts.times.ejectionMs);
    });
    await Promise.race([Promise.all(members.map(({ ended }) => ended)), late]);
    clearTimeout(timer);
    for (const { user, kind, end, state } of members) {
      const ejectMs = state === 'ejected' && end !== null ? round(end.atMs - commitSentAtMs) : null;
      series('seat.storm.ndjson', {
        user: user.id,
        kind,
        together: members.length,
        ejectMs,
        how: end?.how ?? 'still in',
      });
    }
  }

  /** Asks the witness until none of the revoked is listed under any identity, or the time is over. */
  async #untilClean(): Promise<{ stillInRoom: number; cleanMs: number | null }> {
    const { clock, signal } = this.#context;
    const revoked = this.#parts.crowd.members.filter(({ revokedAtMs }) => revokedAtMs !== null);
    if (revoked.length === 0) return { stillInRoom: 0, cleanMs: null };
    const endsAtMs = this.#lastCommitAtMs + this.#parts.times.ejectionMs;
    for (;;) {
      const listed = await this.#listed();
      const nowMs = clock.monotonicMs();
      const inside = revoked.filter(({ user, streamId }) =>
        listed.get(streamId)?.some(({ identity }) => isIdentityOf(identity, user.id)),
      );
      if (inside.length === 0) return { stillInRoom: 0, cleanMs: nowMs - this.#lastCommitAtMs };
      if (nowMs >= endsAtMs) return { stillInRoom: inside.length, cleanMs: null };
      await sleep(witnessEveryMs, signal);
    }
  }

  /** Who of the members is listed now: how many as ACTIVE, and who is not there at all. */
  async #roll(): Promise<{ active: number; missing: Member[] }> {
    const listed = await this.#listed();
    const missing: Member[] = [];
    let active = 0;
    for (const member of this.#parts.crowd.members) {
      const seen = listed.get(member.streamId)?.find(({ identity }) => identity === member.user.id);
      if (seen === undefined) missing.push(member);
      else if (seen.state === 'ACTIVE') active += 1;
    }
    return { active, missing };
  }

  async #listed() {
    const { admin, cohort } = this.#parts;
    const rooms = cohort.streams.map(async (room) => [room, await admin.occupants(room)] as const);
    return new Map(await Promise.all(rooms));
  }
}

function recordEjection(histogram: LatencyHistogram, { state, end, revokedAtMs }: Member): void {
  if (state === 'ejected' && end !== null && revokedAtMs !== null) histogram.recordMs(end.atMs - revokedAtMs);
}

function howOf({ end }: Member): string {
  return end?.how ?? 'still in when the time was over';
}

function countBy(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
