import { TrollfixError } from '../../kernel/errors.ts';
import type { SeatDesk } from '../../ops/seat-desk.ts';
import {
  findStream,
  findUsers,
  guardsSeen,
  listSeats,
  type RoomSession,
  roomSessions,
  type SeatRow,
  type StreamRef,
  type UserRef,
} from '../../ops/seat-lookup.ts';
import { type Revocation, revokeSeat, revokeSeats } from '../../ops/seats.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, requiredArgument, requiredOption } from '../input-values.ts';
import { alignColumns } from '../output/columns.ts';
import { howLong, sessionsOf, whoItHits } from './seat.ts';
import { withSeatDesk } from './seat-desk.ts';
import { carriedOutBy, nameOf, presenceWords, seatWords, stepsText, streamName } from './seat-words.ts';

/** Seats named in a prompt: more than this and the names push the question off the screen. */
const namedInPrompt = 5;

/** As many as `revoke_seats` takes in one transaction. */
const listLimit = 1_000;

export async function runSeatRevoke(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const many = requiredArgument(input, 'user') === '-';
  return withSeatDesk(context, (desk) => (many ? revokeList : revokeOne)(context, input, desk));
}

async function revokeOne(
  context: CommandContext,
  input: CommandInput,
  desk: SeatDesk,
): Promise<CommandResult> {
  const who = await whoItHits(desk, input);
  const { stream, user, before } = who;
  const { reason, until, words } = terms(context, input);
  const sessions = await sessionsOf(desk, who);
  const elsewhere = (await listSeats(desk, { userIds: [user.id] })).filter(
    (seat) => seat.streamId !== stream.id && seat.state === 'active',
  );
  const kept =
    elsewhere.length === 0
      ? ''
      : `; keeps ${elsewhere.length === 1 ? 'a seat' : `${elsewhere.length} seats`} elsewhere`;
  const what =
    `${nameOf(user)} (${seatWords(before)}; ${presenceWords(sessions)}${kept}) ` +
    `from ${streamName(stream)}, ${words}: ${reason}`;
  const inRoom = typeof sessions === 'string' ? null : sessions;
  const seen = { ...who, inRoom, elsewhere: elsewhere.map(({ streamId }) => streamId), bulk: null };
  if (input.options.dryRun === true) {
    return {
      data: { dryRun: true, ...seen, revocation: null, guards: [] },
      text: () => `would ban: ${what}\n`,
    };
  }
  await context.prompts.confirm(`Ban ${what}?`);
  const revocation = await revokeSeat(desk, { streamId: stream.id, userId: user.id, reason, until });
  const guards = await guardsIfPending(desk, [revocation]);
  const wasIn = inRoom !== null && inRoom.length > 0;
  return {
    data: { dryRun: false, ...seen, revocation, guards },
    text: () =>
      `banned: ${what}\n` +
      stepsText(context, revocation, {
        durable: 'the ban holds from here on',
        removed: 'removed',
        nobody: wasIn ? 'out already, a guard was faster' : 'nobody was in the room',
        witness: 'the room was listed without them',
        guards,
      }),
    ...(revocation.ejection.status === 'returns'
      ? { failure: new TrollfixError('TF-SEAT-005', `${nameOf(user)} is back in the room`) }
      : {}),
  };
}

async function revokeList(
  context: CommandContext,
  input: CommandInput,
  desk: SeatDesk,
): Promise<CommandResult> {
  const stream = await findStream(desk, requiredOption(input, 'stream'));
  const users = await usersOfList(desk, await context.readStdin(), stream);
  const { reason, until, words } = terms(context, input);
  const userIds = users.map(({ user }) => user.id);
  const seats = await listSeats(desk, { streamId: stream.id, userIds });
  const before = new Map(seats.map((seat) => [seat.userId, seat]));
  const sessions = await roomSessions(
    desk,
    userIds.map((userId) => ({ streamId: stream.id, userId })),
  );
  const hits = users.map(({ line, user }) => ({
    ...{ line, user, before: before.get(user.id) ?? null },
    inRoom: typeof sessions === 'string' ? null : (sessions.get(`${stream.id}/${user.id}`) ?? []),
  }));
  const what = `${listWords(hits, sessions)} from ${streamName(stream)}, ${words}: ${reason}`;
  const common = { stream, user: null, before: null, inRoom: null, elsewhere: [], revocation: null };
  if (input.options.dryRun === true) {
    const results = hits.map((hit) => ({ ...hit, revocation: null }));
    const data = { dryRun: true, ...common, bulk: { durableMs: null, results }, guards: [] };
    return { data, text: () => `would ban: ${what}\n${resultLines(results)}` };
  }
  await context.prompts.confirm(`Ban ${what}?`);
  const revocations = await revokeSeats(desk, { streamId: stream.id, userIds, reason, until });
  const results = hits.map((hit) => ({ ...hit, revocation: revocations.get(hit.user.id) ?? null }));
  const all = [...revocations.values()];
  const guards = await guardsIfPending(desk, all);
  const back = results.filter(({ revocation }) => revocation?.ejection.status === 'returns');
  return {
    data: {
      ...{ dryRun: false, ...common, guards },
      bulk: { durableMs: all[0]?.durableMs ?? null, results },
    },
    text: () => `banned: ${what}\n${summaryText(all, guards)}${resultLines(results)}`,
    ...(back.length === 0
      ? {}
      : { failure: new TrollfixError('TF-SEAT-005', `${back.length} of them are back in the room`) }),
  };
}

function terms({ clock }: CommandContext, input: CommandInput) {
  const forMs = numberOption(input, 'for');
  return {
    reason: requiredOption(input, 'reason'),
    until: forMs === undefined ? null : new Date(clock.now() + forMs),
    words: howLong(forMs),
  };
}

/** One user per line; empty lines and those that begin with # are left out, and so is a user who is named again. */
async function usersOfList(desk: SeatDesk, text: string, stream: StreamRef) {
  const lines = text
    .split(/\r?\n/)
    .map((line, index) => ({ line: index + 1, word: line.trim() }))
    .filter(({ word }) => word !== '' && !word.startsWith('#'));
  if (lines.length === 0 || lines.length > listLimit) {
    throw new TrollfixError('TF-CLI-003', `stdin names ${lines.length} users`, {
      why: `one user per line is needed, and at most ${listLimit.toLocaleString('en')}, which is one transaction`,
    });
  }
  const found = await findUsers(
    desk,
    lines.map(({ word }) => word),
    stream.id,
  );
  const bad: string[] = [];
  const users = new Map<string, { readonly line: number; readonly user: UserRef }>();
  for (const { line, word } of lines) {
    const lookup = found.get(word);
    if (lookup?.kind === 'user') {
      if (!users.has(lookup.user.id)) users.set(lookup.user.id, { line, user: lookup.user });
    } else if (lookup !== undefined) {
      const near = lookup.kind === 'unknown' && lookup.near ? `, did you mean \`${lookup.near}\`?` : '';
      bad.push(`line ${line}: ${lookup.why}${near}`);
    }
  }
  if (bad.length > 0) {
    const shown = bad.slice(0, 20);
    throw new TrollfixError(
      'TF-SEAT-008',
      `${bad.length} of ${lines.length} lines name nobody; nothing was done`,
      {
        why: [...shown, ...(bad.length > shown.length ? [`and ${bad.length - shown.length} more`] : [])].join(
          '\n',
        ),
        details: { lines: shown },
      },
    );
  }
  return [...users.values()];
}

interface Hit {
  readonly line: number;
  readonly user: UserRef;
  readonly before: SeatRow | null;
  readonly inRoom: readonly RoomSession[] | null;
}

/** `200 users (150 seats, 3 banned already; 120 in the room, 4 publishing): ada, bob, … and 195 more` */
function listWords(hits: readonly Hit[], sessions: ReadonlyMap<string, unknown> | string): string {
  const count = (test: (hit: Hit) => boolean) => hits.filter(test).length;
  const seats = count(({ before }) => before?.state === 'active');
  const banned = count(({ before }) => before?.ban != null);
  const inside = count(({ inRoom }) => (inRoom?.length ?? 0) > 0);
  const publishing = count(({ inRoom }) => inRoom?.some(({ tracks }) => tracks > 0) ?? false);
  const where =
    typeof sessions === 'string'
      ? `who is in the room is not known: ${sessions}`
      : `${inside} in the room, ${publishing} publishing`;
  const names = hits.slice(0, namedInPrompt).map(({ user }) => user.username);
  const more = hits.length > names.length ? ` and ${hits.length - names.length} more` : '';
  return `${hits.length} users (${seats} with a seat, ${banned} banned already; ${where}): ${names.join(', ')}${more}`;
}

function summaryText(
  revocations: readonly Revocation[],
  guards: Awaited<ReturnType<typeof guardsSeen>>,
): string {
  const of = (status: string) => revocations.filter(({ ejection }) => ejection.status === status);
  const done = of('done');
  const pending = of('pending').length;
  const lastMs = Math.max(...done.map(({ cleanMs }) => cleanMs ?? 0), 0);
  const at = (ms: number) => `${ms.toFixed(1)} ms`.padStart(10);
  const [first] = revocations;
  const problem = first?.outboxProblem;
  return [
    `  ${at(first?.durableMs ?? 0)}  rows durable, in one transaction: ${revocations.length} bans hold from here on`,
    ...(done.length === 0 ? [] : [`  ${at(lastMs)}  witness: ${done.length} of them are not in the room`]),
    ...(pending === 0 ? [] : [`  ${pending} ejections pending in the outbox; ${carriedOutBy(guards)}`]),
    ...(problem ? [`  the outbox was not told: ${problem}; a guard will look again`] : []),
    '',
  ].join('\n');
}

function resultLines(results: ReadonlyArray<Hit & { readonly revocation: Revocation | null }>): string {
  const rows = results.map(({ line, user, before, inRoom, revocation }) => [
    String(line),
    user.username,
    seatWords(before),
    inRoom === null ? '?' : inRoom.length === 0 ? 'not in the room' : 'in the room',
    revocation === null ? '-' : resultWords(revocation),
  ]);
  return `${alignColumns([['LINE', 'USER', 'WAS', 'ROOM', 'RESULT'], ...rows], { indent: 2 }).join('\n')}\n`;
}

function resultWords({ ejection, cleanMs }: Revocation): string {
  switch (ejection.status) {
    case 'done':
      return ejection.removed.length === 0
        ? 'banned'
        : `banned, out after ${(cleanMs ?? 0).toFixed(0)} ms${ejection.removed.length > 1 ? `, ${ejection.removed.length} sessions` : ''}`;
    case 'pending':
      return `banned, ejection pending: ${ejection.why}`;
    case 'returns':
      return `banned, BACK IN THE ROOM as ${ejection.stillThere.join(', ')}`;
  }
}

async function guardsIfPending(desk: SeatDesk, revocations: readonly Revocation[]) {
  const pending = revocations.some(({ ejection }) => ejection.status === 'pending');
  return pending ? guardsSeen(desk) : [];
}
