import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { mapBounded } from '../../kernel/bounded-map.ts';
import { enterActive } from '../../target/livekit/active-participant.ts';
import {
  type Departure,
  enterRoom,
  type SignalParticipant,
} from '../../target/livekit/signal-participant.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import type { SeatPlace } from './place.ts';
import { askForToken, judgeDeparture } from './victims.ts';

/** signal: talks to the signal socket only, and is dropped after a minute. active: has a media connection and stays. */
export type MemberKind = 'signal' | 'active';

/** One participant of the crowd, from the first join to its end. */
export interface Member {
  readonly user: SyntheticUser;
  readonly streamId: string;
  readonly kind: MemberKind;
  session: SignalParticipant;
  joinedAtMs: number;
  /** `clock.monotonicMs()` of the COMMIT that took the seat away; null while the seat is held. */
  revokedAtMs: number | null;
  /**
   * in: in the room as far as this side knows. ejected: told to leave for good. cut: the connection was closed on
   * somebody without a seat, as a gate does whose guard is slow. lost: gone in any other way.
   */
  state: 'in' | 'ejected' | 'cut' | 'lost';
  /** When and how it ended. */
  end: { readonly atMs: number; readonly how: string } | null;
  readonly ended: Promise<void>;
}

/** Joins at once while recycling: with more the server queues them. */
const recyclesAtOnce = 8;

/** People in rooms, kept there by joining anew before the minute is over, and what becomes of each. */
export class Crowd {
  readonly members: Member[] = [];
  /** Dial → `join`, and for those with media dial → DTLS stands. */
  readonly joinMs: Readonly<Record<MemberKind, LatencyHistogram>> = {
    signal: new LatencyHistogram(),
    active: new LatencyHistogram(),
  };
  /** Why people could not get in, with how often. */
  readonly turnedAway = new Map<string, number>();
  recycled = 0;
  readonly #context: ProbeContext;
  readonly #place: SeatPlace;
  readonly #entry: 'given' | 'server';
  readonly #settlers = new Map<Member, () => void>();

  /** @param entry where they join: where the token endpoint sends clients (a gate, if there is one), or LiveKit itself */
  constructor(context: ProbeContext, place: SeatPlace, entry: 'given' | 'server') {
    this.#context = context;
    this.#place = place;
    this.#entry = entry;
  }

  /** Has somebody with a seat join. @returns null when they were not let in, which is counted */
  async admit(user: SyntheticUser, streamId: string, kind: MemberKind): Promise<Member | null> {
    const entered = await this.#enter(user, streamId, kind);
    if (typeof entered === 'string') {
      this.turnedAway.set(entered, (this.turnedAway.get(entered) ?? 0) + 1);
      return null;
    }
    const ended = Promise.withResolvers<void>();
    const member: Member = {
      ...{ user, streamId, kind, session: entered.session, joinedAtMs: this.#context.clock.monotonicMs() },
      ...{ revokedAtMs: null, state: 'in', end: null, ended: ended.promise },
    };
    this.joinMs[kind].recordMs(entered.tookMs);
    this.#settlers.set(member, ended.resolve);
    this.members.push(member);
    this.#watch(member, entered.session);
    return member;
  }

  /** Has everybody without media join anew who has been in for too long. @returns how many did */
  async recycleDue(olderThanMs: number): Promise<number> {
    const nowMs = this.#context.clock.monotonicMs();
    const due = this.members.filter(
      ({ kind, state, revokedAtMs, joinedAtMs }) =>
        kind === 'signal' && state === 'in' && revokedAtMs === null && nowMs - joinedAtMs >= olderThanMs,
    );
    const done = await mapBounded(due, recyclesAtOnce, (member) => this.#recycle(member));
    const count = done.filter(Boolean).length;
    this.recycled += count;
    return count;
  }

  /** Everybody leaves by themselves: what is still in counts as it stood before. */
  async close(): Promise<void> {
    for (const member of this.members) this.#settlers.delete(member);
    await mapBounded(this.members, 64, async ({ session }) => session.close());
  }

  async #recycle(member: Member): Promise<boolean> {
    this.#context.signal.throwIfAborted();
    const before = member.session;
    const entered = await this.#enter(member.user, member.streamId, 'signal');
    if (typeof entered === 'string') {
      this.turnedAway.set(entered, (this.turnedAway.get(entered) ?? 0) + 1);
      return false;
    }
    member.session = entered.session;
    member.joinedAtMs = this.#context.clock.monotonicMs();
    this.#watch(member, entered.session);
    await before.close();
    return true;
  }

  async #enter(
    user: SyntheticUser,
    streamId: string,
    kind: MemberKind,
  ): Promise<{ session: SignalParticipant; tookMs: number } | string> {
    const { clock } = this.#context;
    const answer = await askForToken(this.#context, { ...this.#place, streamId }, user);
    if (answer.token === null) return `no token: ${answer.status} ${answer.problem}`;
    const { url: given } = answer.fields;
    const isSent = this.#entry === 'given' && typeof given === 'string';
    const url = isSent ? given : this.#place.livekit.url;
    if (kind === 'active') {
      const outcome = await enterActive({ url, token: answer.token, clock });
      if (outcome.kind === 'active') {
        return { session: outcome.participant, tookMs: outcome.participant.activeMs };
      }
      return wordsOf(outcome);
    }
    const outcome = await enterRoom({ url, token: answer.token, door: { path: '/rtc' }, clock });
    if (outcome.kind !== 'joined') return wordsOf(outcome);
    return { session: outcome.participant, tookMs: outcome.participant.joinMs };
  }

  #watch(member: Member, session: SignalParticipant): void {
    session.left.then((departure) => {
      const settle = this.#settlers.get(member);
      // closed by this side, or replaced by a newer session of the same member
      if (settle === undefined || isReplacement(member, session, departure)) return;
      const verdict = judgeDeparture(departure);
      const isCut = departure.kind === 'closed' && member.revokedAtMs !== null;
      member.state = verdict.ejected ? 'ejected' : isCut ? 'cut' : 'lost';
      member.end = { atMs: departure.atMs, how: verdict.ejected ? 'ejected' : verdict.why };
      this.#settlers.delete(member);
      settle();
    });
  }
}

/** The old session of somebody who joined anew is told so, at times before the new one has heard of its join. */
function isReplacement(member: Member, session: SignalParticipant, departure: Departure): boolean {
  if (member.session !== session) return true;
  return departure.kind === 'leave' && departure.reason === 'DUPLICATE_IDENTITY';
}

type Refusal = Exclude<Awaited<ReturnType<typeof enterActive>>, { kind: 'active' }>;

function wordsOf(outcome: Refusal | Awaited<ReturnType<typeof enterRoom>>): string {
  switch (outcome.kind) {
    case 'refused':
      return `refused ${outcome.status}: ${outcome.message.slice(0, 120)}`;
    case 'unreachable':
      return `unreachable: ${outcome.message}`;
    case 'signal_only':
      return outcome.why;
    default:
      return outcome.kind;
  }
}
