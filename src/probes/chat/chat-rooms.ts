import { sleep } from '../../kernel/clock.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { type ChatMember, openOfficialMember, openRawMember } from './chat-member.ts';

/** What a room tells the run about; `message` is its number in the room. */
export interface RoomListener {
  delivery(room: number, receiver: number, message: number, kind: MemberKind): void;
  answer(room: number, message: number, ok: boolean, reason: string): void;
  trouble(room: number, receiver: number, message: string): void;
}

export type MemberKind = 'raw' | 'official';

export interface RoomsOptions {
  readonly supabaseUrl: string;
  readonly apiKey: string;
  readonly tag: string;
  readonly topics: readonly string[];
  /** Members over all rooms, shared out evenly. */
  readonly connections: number;
  /** How many of them use supabase-js; the first of each room in turn. */
  readonly officialClients: number;
  /** One per connection, or none for public channels. */
  readonly tokens: readonly string[];
  readonly signal: AbortSignal;
  readonly listener: RoomListener;
}

export interface Room {
  readonly members: readonly ChatMember[];
  readonly kinds: readonly MemberKind[];
}

/** Below the 100 joins/s of the smallest plan, so that joining meets no quota while the messages are what is measured. */
const joinsPerBatch = 20;
const batchGapMs = 250;

/**
 * Opens all connections and joins them to their rooms, in batches.
 * @throws TF-SUP-* of the first connection that fails; those that were open are closed again
 */
export async function openRooms(options: RoomsOptions): Promise<Room[]> {
  const plan = planMembers(options);
  const members: Array<ChatMember | undefined> = new Array(plan.length);
  try {
    for (let from = 0; from < plan.length; from += joinsPerBatch) {
      const startedMs = performance.now();
      const batch = plan.slice(from, from + joinsPerBatch);
      const results = await Promise.allSettled(batch.map((member) => openMember(options, member)));
      results.forEach((result, i) => {
        if (result.status === 'fulfilled') members[from + i] = result.value;
      });
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw joinFailure(failed.reason);
      const restMs = batchGapMs - (performance.now() - startedMs);
      const isLast = from + joinsPerBatch >= plan.length;
      if (restMs > 0 && !isLast) await sleep(restMs, options.signal);
    }
  } catch (error) {
    await closeMembers(members);
    throw error;
  }
  return options.topics.map((_, room) => {
    const mine = plan.filter((member) => member.room === room);
    // safe: no place of the list stayed empty, else this line was not reached
    return { members: mine.map(({ at }) => members[at]!), kinds: mine.map(({ kind }) => kind) };
  });
}

export async function closeRooms(rooms: readonly Room[]): Promise<void> {
  await closeMembers(rooms.flatMap((room) => room.members));
}

interface PlannedMember {
  readonly at: number;
  readonly room: number;
  readonly receiver: number;
  readonly kind: MemberKind;
}

function planMembers({ topics, connections, officialClients }: RoomsOptions): PlannedMember[] {
  return Array.from({ length: connections }, (_, at) => {
    const room = at % topics.length;
    return {
      at,
      room,
      receiver: Math.floor(at / topics.length),
      kind: at < officialClients ? 'official' : 'raw',
    };
  });
}

function openMember(options: RoomsOptions, { at, room, receiver, kind }: PlannedMember): Promise<ChatMember> {
  const { supabaseUrl, apiKey, tag, topics, tokens, signal, listener } = options;
  const open = kind === 'official' ? openOfficialMember : openRawMember;
  return open({
    supabaseUrl,
    apiKey,
    token: tokens[at],
    topic: topics[room]!,
    tag,
    room,
    signal,
    onDelivery: (message) => listener.delivery(room, receiver, message, kind),
    onAnswer: (message, ok, reason) => listener.answer(room, message, ok, reason),
    onTrouble: (message) => listener.trouble(room, receiver, message),
  });
}

async function closeMembers(members: ReadonlyArray<ChatMember | undefined>): Promise<void> {
  await Promise.allSettled(members.map((member) => member?.close()));
}

function joinFailure(error: unknown): Error {
  if (error instanceof TrollfixError) return error;
  return new TrollfixError('TF-SUP-003', `a chat member could not join: ${messageOf(error)}`, {
    cause: error,
  });
}
