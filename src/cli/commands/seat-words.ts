import { formatDuration } from '../../kernel/duration.ts';
import type { GuardSeen, RoomSession, SeatRow, StreamRef, UserRef } from '../../ops/seat-lookup.ts';
import type { Enforcement } from '../../ops/seats.ts';
import type { CommandContext } from '../command.ts';

/** `Ada Lovelace (ada) 3333…` */
export function nameOf(user: UserRef): string {
  return user.displayName === null
    ? `${user.username} ${user.id}`
    : `${user.displayName} (${user.username}) ${user.id}`;
}

/** `"Friday" 1111…` */
export function streamName(stream: StreamRef): string {
  return stream.title ? `"${stream.title}" ${stream.id}` : `stream ${stream.id}`;
}

/** `active speaker, listen only, banned until …` */
export function seatWords(seat: SeatRow | null): string {
  if (seat === null) return 'a viewer';
  const words =
    seat.state === null ? 'viewer' : `${seat.state} ${seat.role}${seat.canPublish ? '' : ', listen only'}`;
  if (seat.ban === null) return words;
  return `${words}, banned ${seat.ban.until === null ? 'for good' : `until ${seat.ban.until}`}`;
}

/** `in the room now, publishing 2 tracks`; says so when it could not be looked up. */
export function presenceWords(sessions: readonly RoomSession[] | string): string {
  if (typeof sessions === 'string') return `whether they are in the room is not known: ${sessions}`;
  if (sessions.length === 0) return 'not in the room now';
  const tracks = sessions.reduce((sum, session) => sum + session.tracks, 0);
  const aliases = sessions.length > 1 ? ` ${sessions.length} times` : '';
  const publishing = tracks === 0 ? '' : `, publishing ${tracks} ${tracks === 1 ? 'track' : 'tracks'}`;
  return `in the room now${aliases}${publishing}`;
}

/** How long ago, or until when: `3s ago`, `in 42m`. */
export function relativeTime(iso: string, nowMs: number): string {
  const ms = Date.parse(iso) - nowMs;
  // to the second: the milliseconds of a clock that may be off by more are no news
  const words = formatDuration(Math.round(Math.abs(ms) / 1000) * 1000 || 1000);
  return ms < 0 ? `${words} ago` : `in ${words}`;
}

/** Who will carry out what waits in the outbox. */
export function carriedOutBy(guards: readonly GuardSeen[]): string {
  const [guard] = guards;
  if (guard === undefined) {
    return 'nobody carries it out: no guard has been heard of; start one with `trollfix guard`';
  }
  const others = guards.length > 1 ? ` and ${guards.length - 1} more` : '';
  return `guard ${guard.id}${others} carries it out as soon as it can (heard of ${guard.secondsAgo.toFixed(0)} s ago)`;
}

/** The steps of a decision, one line each, in milliseconds from the start of the command. */
export function stepsText(
  { terminal: { style } }: Pick<CommandContext, 'terminal'>,
  done: Enforcement & { readonly durableMs: number },
  words: {
    /** What the row alone already does. */
    readonly durable: string;
    /** What was done to the identities: `removed`, `silenced`. */
    readonly removed: string;
    /** When there was nobody to do it to. */
    readonly nobody: string;
    readonly witness: string;
    readonly guards: readonly GuardSeen[];
  },
): string {
  const at = (ms: number) => `${ms.toFixed(1)} ms`.padStart(10);
  const lines = [`  ${at(done.durableMs)}  row durable: ${words.durable}`];
  const { ejection } = done;
  if (ejection.status === 'done' && done.confirmedMs !== null && done.cleanMs !== null) {
    const what =
      ejection.removed.length === 0 ? words.nobody : `${words.removed} ${ejection.removed.join(', ')}`;
    lines.push(`  ${at(done.confirmedMs)}  LiveKit confirmed: ${what}`);
    lines.push(`  ${at(done.cleanMs)}  witness: ${words.witness}`);
  } else if (ejection.status === 'returns') {
    lines.push(
      `  ${style.red('back in the room')} after every removal: ${ejection.stillThere.join(', ')}`,
      '  their token still opens LiveKit: only a gate in front of it keeps them out (`trollfix guard --gate`)',
    );
  } else if (ejection.status === 'pending') {
    lines.push(
      `  ${style.yellow('ejection pending')} in the outbox: ${ejection.why}`,
      `  ${carriedOutBy(words.guards)}`,
    );
  }
  if (done.outboxProblem !== null) {
    lines.push(
      `  ${style.yellow('the outbox was not told')}: ${done.outboxProblem}; a guard will look again`,
    );
  }
  return `${lines.join('\n')}\n`;
}
