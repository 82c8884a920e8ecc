import { formatDuration } from '../../kernel/duration.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import {
  findStream,
  findUser,
  grantSeat,
  listSeats,
  type Revocation,
  restoreSeat,
  revokeSeat,
  roomPresence,
  type SeatDesk,
  type SeatRow,
  type StreamRef,
  type UserRef,
} from '../../ops/seats.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, requiredArgument, requiredOption, textOption } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { withSeatDesk } from './seat-desk.ts';

export async function runSeatList(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const stream = textOption(input, 'stream');
    const user = textOption(input, 'user');
    const rows = await listSeats(desk, {
      ...(stream === undefined ? {} : { streamId: (await findStream(desk, stream)).id }),
      ...(user === undefined ? {} : { userId: (await findUser(desk, user)).id }),
    });
    const presence = await roomPresence(desk, rows).catch((error: unknown) => {
      if (error instanceof TrollfixError) return messageOf(error);
      throw error;
    });
    const seats = rows.map((row) => ({
      ...row,
      inRoom: typeof presence === 'string' ? null : (presence.get(row) ?? null),
    }));
    const presenceMissing = typeof presence === 'string' ? presence : null;
    return {
      data: { seats, presenceMissing },
      text: () => listText(context, seats, presenceMissing),
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

export async function runSeatRevoke(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  return withSeatDesk(context, async (desk) => {
    const who = await whoItHits(desk, input);
    const reason = requiredOption(input, 'reason');
    const forMs = numberOption(input, 'for');
    const howLong = forMs === undefined ? 'for good' : `for ${formatDuration(forMs)}`;
    const what = `${nameOf(who.user)} (${seatWords(who.before)}) from ${streamName(who.stream)}, ${howLong}: ${reason}`;
    if (input.options.dryRun === true) {
      return { data: { dryRun: true, ...who, revocation: null }, text: () => `would ban: ${what}\n` };
    }
    await context.prompts.confirm(`Ban ${what}?`);
    const revocation = await revokeSeat(desk, {
      streamId: who.stream.id,
      userId: who.user.id,
      reason,
      until: forMs === undefined ? null : new Date(context.clock.now() + forMs),
    });
    const returns = revocation.ejection.status === 'returns';
    return {
      data: { dryRun: false, ...who, revocation },
      text: () => `banned: ${what}\n${timelineText(context, revocation)}`,
      ...(returns
        ? { failure: new TrollfixError('TF-SEAT-005', `${nameOf(who.user)} is back in the room`) }
        : {}),
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

interface WhoItHits {
  readonly user: UserRef;
  readonly stream: StreamRef;
  readonly before: SeatRow | null;
}

async function whoItHits(desk: SeatDesk, input: CommandInput): Promise<WhoItHits> {
  const stream = await findStream(desk, requiredOption(input, 'stream'));
  const user = await findUser(desk, requiredArgument(input, 'user'));
  const [before] = await listSeats(desk, { streamId: stream.id, userId: user.id });
  return { user, stream, before: before ?? null };
}

function timelineText({ terminal }: CommandContext, revocation: Revocation): string {
  const { style } = terminal;
  const at = (ms: number) => `${ms.toFixed(1)} ms`.padStart(10);
  const lines = [`  ${at(revocation.durableMs)}  row durable: the ban holds from here on`];
  const { ejection } = revocation;
  if (ejection.status === 'done' && revocation.confirmedMs !== null && revocation.cleanMs !== null) {
    const removed =
      ejection.removed.length === 0 ? 'nobody was in the room' : `removed ${ejection.removed.join(', ')}`;
    lines.push(`  ${at(revocation.confirmedMs)}  LiveKit confirmed: ${removed}`);
    lines.push(`  ${at(revocation.cleanMs)}  witness: the room was listed without them`);
  } else if (ejection.status === 'returns') {
    lines.push(`  ${style.red('back in the room')} after every removal: ${ejection.stillThere.join(', ')}`);
  } else if (ejection.status === 'pending') {
    lines.push(`  ${style.yellow('ejection pending')} in the outbox: ${ejection.why}`);
  }
  return `${lines.join('\n')}\n`;
}

function listText(
  { terminal }: CommandContext,
  seats: ReadonlyArray<SeatRow & { inRoom: readonly string[] | null }>,
  presenceMissing: string | null,
): string {
  if (seats.length === 0) return 'no seats and no bans\n';
  const rows = seats.map((seat) => [
    seat.username ?? seat.userId,
    seatWords(seat),
    seat.expiresAt ?? '-',
    seat.inRoom === null ? '?' : seat.inRoom.length === 0 ? 'no' : seat.inRoom.join(', '),
    seat.pendingEjections > 0 ? `${seat.pendingEjections} pending` : '-',
    seat.streamId,
  ]);
  const lines = alignColumns([['USER', 'SEAT', 'EXPIRES', 'IN ROOM', 'EJECTION', 'STREAM'], ...rows]);
  const note =
    presenceMissing === null
      ? ''
      : `${terminal.style.dim(`rooms were not looked into: ${presenceMissing}`)}\n`;
  return `${lines.join('\n')}\n${note}`;
}

function seatWords(seat: SeatRow | null): string {
  if (seat === null) return 'a viewer';
  const words =
    seat.state === null ? 'viewer' : `${seat.state} ${seat.role}${seat.canPublish ? '' : ', listen only'}`;
  if (seat.ban === null) return words;
  return `${words}, banned ${seat.ban.until === null ? 'for good' : `until ${seat.ban.until}`}`;
}

function nameOf(user: UserRef): string {
  return user.displayName === null
    ? `${user.username} ${user.id}`
    : `${user.displayName} (${user.username}) ${user.id}`;
}

function streamName(stream: StreamRef): string {
  return stream.title ? `"${stream.title}" ${stream.id}` : `stream ${stream.id}`;
}
