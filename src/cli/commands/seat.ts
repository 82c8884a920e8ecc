import { formatDuration } from '../../kernel/duration.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import type { SeatDesk } from '../../ops/seat-desk.ts';
import {
  findStream,
  findUser,
  guardsSeen,
  listSeats,
  type RoomSession,
  roomSessions,
  type SeatRow,
  type StreamRef,
  type UserRef,
} from '../../ops/seat-lookup.ts';
import { downgradeSeat, extendSeat, grantSeat, restoreSeat } from '../../ops/seats.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, requiredArgument, requiredOption, textOption } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { withSeatDesk } from './seat-desk.ts';
import { nameOf, presenceWords, relativeTime, seatWords, stepsText, streamName } from './seat-words.ts';

export async function runSeatList(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const stream = textOption(input, 'stream');
    const user = textOption(input, 'user');
    const streamId = stream === undefined ? undefined : (await findStream(desk, stream)).id;
    const rows = await listSeats(desk, {
      ...(streamId === undefined ? {} : { streamId }),
      ...(user === undefined ? {} : { userIds: [(await findUser(desk, user, streamId)).id] }),
    });
    const sessions = await roomSessions(desk, rows);
    const seats = rows.map((row) => {
      const here = typeof sessions === 'string' ? undefined : sessions.get(`${row.streamId}/${row.userId}`);
      return {
        ...row,
        inRoom: here?.map(({ identity }) => identity) ?? null,
        tracks: here?.reduce((sum, { tracks }) => sum + tracks, 0) ?? null,
      };
    });
    const presenceMissing = typeof sessions === 'string' ? sessions : null;
    return {
      data: { seats, presenceMissing },
      text: () => listText(context, seats, { presenceMissing, withStream: streamId === undefined }),
    };
  });
}

export async function runSeatGrant(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const who = await whoItHits(desk, input);
    const forMs = numberOption(input, 'for');
    const role = textOption(input, 'role') ?? 'speaker';
    const expiresAt = forMs === undefined ? null : new Date(context.clock.now() + forMs);
    const until = expiresAt === null ? 'until revoked' : `until ${expiresAt.toISOString()}`;
    const what = `${role} seat for ${nameOf(who.user)} on ${streamName(who.stream)}, ${until}`;
    if (input.options.dryRun === true) {
      return { data: { dryRun: true, ...who, seat: null }, text: () => `would grant: ${what}\n` };
    }
    const seat = await grantSeat(desk, {
      streamId: who.stream.id,
      userId: who.user.id,
      role,
      canPublish: input.options.listenOnly !== true,
      expiresAt,
      reason: textOption(input, 'reason') ?? null,
    });
    return { data: { dryRun: false, ...who, seat }, text: () => `granted: ${what}\n` };
  });
}

export async function runSeatExtend(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const who = await whoItHits(desk, input);
    const until = extendedUntil(input, who, context.clock.now());
    const words = until === null ? 'until revoked' : `until ${until.toISOString()}`;
    const what = `${nameOf(who.user)} (${seatWords(who.before)}) on ${streamName(who.stream)}, ${words}`;
    if (input.options.dryRun === true) {
      return { data: { dryRun: true, ...who, seat: null }, text: () => `would extend: ${what}\n` };
    }
    const reason = textOption(input, 'reason') ?? null;
    const seat = await extendSeat(desk, { streamId: who.stream.id, userId: who.user.id, until, reason });
    return { data: { dryRun: false, ...who, seat }, text: () => `extended: ${what}\n` };
  });
}

/** `--for` counts from now, `--by` from the seat's present end, `--no-end` takes the end away; one of them it must be. */
function extendedUntil(input: CommandInput, { before }: WhoItHits, nowMs: number): Date | null {
  const [forMs, byMs] = [numberOption(input, 'for'), numberOption(input, 'by')];
  const noEnd = input.options.end === false;
  if ([forMs !== undefined, byMs !== undefined, noEnd].filter(Boolean).length !== 1) {
    throw new TrollfixError('TF-CLI-003', 'give one of --for, --by and --no-end', {
      why: '--for counts from now, --by from the present end of the seat',
      hint: 'for half an hour more than it has: `--by 30m`',
    });
  }
  if (noEnd) return null;
  if (forMs !== undefined) return new Date(nowMs + forMs);
  if (before?.expiresAt == null) {
    throw new TrollfixError(
      'TF-SEAT-006',
      before === null ? 'there is no seat to be extended' : 'the seat has no end to be moved by --by',
    );
  }
  return new Date(Date.parse(before.expiresAt) + (byMs ?? 0));
}

export async function runSeatDowngrade(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const who = await whoItHits(desk, input);
    const sessions = await sessionsOf(desk, who);
    const what =
      `${nameOf(who.user)} (${seatWords(who.before)}; ${presenceWords(sessions)}) ` +
      `on ${streamName(who.stream)}`;
    const inRoom = typeof sessions === 'string' ? null : sessions;
    if (input.options.dryRun === true) {
      const data = { dryRun: true, ...who, inRoom, downgrade: null, seat: null };
      return { data, text: () => `would take the right to publish from: ${what}\n` };
    }
    await context.prompts.confirm(`Take the right to publish from ${what}?`);
    const reason = textOption(input, 'reason') ?? null;
    const { downgrade, seat } = await downgradeSeat(desk, {
      ...{ streamId: who.stream.id, userId: who.user.id, reason },
    });
    const guards = downgrade.ejection.status === 'pending' ? await guardsSeen(desk) : [];
    return {
      data: { dryRun: false, ...who, inRoom, downgrade, seat, guards },
      text: () =>
        `${downgrade.changed ? 'downgraded' : 'could not publish before either'}: ${what}\n` +
        stepsText(context, downgrade, {
          durable: 'no new token of theirs may publish',
          removed: 'silenced',
          nobody: 'nobody to silence',
          witness: 'the room was listed with them unable to publish, or without them',
          guards,
        }),
    };
  });
}

export async function runSeatRestore(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const who = await whoItHits(desk, input);
    const what = `${nameOf(who.user)} (${seatWords(who.before)}) on ${streamName(who.stream)}`;
    if (input.options.dryRun === true) {
      const data = { dryRun: true, ...who, restored: null, seat: who.before };
      return { data, text: () => `would restore: ${what}\n` };
    }
    const { restored, seat } = await restoreSeat(desk, {
      streamId: who.stream.id,
      userId: who.user.id,
      reason: textOption(input, 'reason') ?? null,
    });
    return {
      data: { dryRun: false, ...who, restored, seat },
      text: () =>
        `restored: ${what}\n  bans lifted: ${restored.bansLifted}; ${restored.seatActive ? 'the seat is active again' : 'no seat to give back'}\n`,
    };
  });
}

export interface WhoItHits {
  readonly user: UserRef;
  readonly stream: StreamRef;
  readonly before: SeatRow | null;
}

/** @throws TF-SEAT-001, TF-SEAT-002, TF-SEAT-007 */
export async function whoItHits(desk: SeatDesk, input: CommandInput): Promise<WhoItHits> {
  const stream = await findStream(desk, requiredOption(input, 'stream'));
  const user = await findUser(desk, requiredArgument(input, 'user'), stream.id);
  const [before] = await listSeats(desk, { streamId: stream.id, userIds: [user.id] });
  return { user, stream, before: before ?? null };
}

/** Where they are in the stream's room now, or why that is not known. */
export async function sessionsOf(
  desk: SeatDesk,
  { stream, user }: Pick<WhoItHits, 'stream' | 'user'>,
): Promise<readonly RoomSession[] | string> {
  const sessions = await roomSessions(desk, [{ streamId: stream.id, userId: user.id }]);
  return typeof sessions === 'string' ? sessions : (sessions.get(`${stream.id}/${user.id}`) ?? []);
}

function listText(
  { terminal, clock }: CommandContext,
  seats: ReadonlyArray<SeatRow & { inRoom: readonly string[] | null; tracks: number | null }>,
  options: { readonly presenceMissing: string | null; readonly withStream: boolean },
): string {
  if (seats.length === 0) return 'no seats and no bans\n';
  const nowMs = clock.now();
  const rows = seats.map((seat) => [
    seat.username ?? seat.userId,
    seatWords(seat),
    seat.state === 'active'
      ? seat.expiresAt === null
        ? 'no end'
        : relativeTime(seat.expiresAt, nowMs)
      : '-',
    roomWords(seat),
    seat.lastSeenAt === null ? '-' : relativeTime(seat.lastSeenAt, nowMs),
    seat.pendingEjections > 0 ? `${seat.pendingEjections} pending` : '-',
    ...(options.withStream ? [seat.streamId] : []),
  ]);
  const head = ['USER', 'SEAT', 'EXPIRES', 'IN ROOM', 'LAST SEEN', 'EJECTION'];
  const lines = alignColumns([[...head, ...(options.withStream ? ['STREAM'] : [])], ...rows]);
  const note =
    options.presenceMissing === null
      ? ''
      : `${terminal.style.dim(`rooms were not looked into: ${options.presenceMissing}`)}\n`;
  return `${lines.join('\n')}\n${note}`;
}

function roomWords({ inRoom, tracks }: { inRoom: readonly string[] | null; tracks: number | null }): string {
  if (inRoom === null) return '?';
  if (inRoom.length === 0) return 'no';
  const words = [
    ...(tracks ? ['publishing'] : []),
    ...(inRoom.length > 1 ? [`${inRoom.length} sessions`] : []),
  ];
  return words.length === 0 ? 'yes' : `yes, ${words.join(', ')}`;
}

/** `for 10m`, `for good` */
export function howLong(forMs: number | undefined): string {
  return forMs === undefined ? 'for good' : `for ${formatDuration(forMs)}`;
}
