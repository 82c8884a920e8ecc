import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import type { LoadResult } from '../../engine/load-result.ts';
import { type Operation, runOpenLoop, type Settle } from '../../engine/open-loop.ts';
import { classifyRefusal } from '../../target/supabase/realtime-refusals.ts';
import { planSchedule } from '../load-arrivals.ts';
import { watchLoad } from '../load-watch.ts';
import type { LoadPlan, ProbeContext } from '../probe.ts';
import { closeRooms, type MemberKind, openRooms, type Room, type RoomListener } from './chat-rooms.ts';
import { type DeliveryCounts, RoomDeliveries, windowFor } from './room-deliveries.ts';

export interface BroadcastOptions {
  readonly plan: LoadPlan;
  readonly topics: readonly string[];
  readonly tokens: readonly string[];
  readonly connections: number;
  readonly officialClients: number;
  readonly deliveryTimeoutMs: number;
  readonly seriesName: string;
}

export interface BroadcastResult {
  readonly load: LoadResult;
  readonly counts: DeliveryCounts;
  readonly disagreements: number;
  readonly unanswered: number;
  readonly official: { readonly delivered: number; readonly lost: number };
  /** Receivers that lost something. */
  readonly receiversWithLoss: number;
  readonly receivers: number;
  /** Receivers whose channel the server ended. */
  readonly receiversCut: number;
  /** Deliveries of one message, on average over the rooms. */
  readonly fanOut: number;
  readonly latency: Readonly<Record<MemberKind, LatencyHistogram>>;
  /** From the intended start to the server's acknowledgement. */
  readonly ackLatency: LatencyHistogram;
  readonly troubles: Readonly<Record<string, number>>;
}

/**
 * Broadcasts chat messages open-loop through rooms of clients and follows each to every receiver. An operation is
 * ok once the server has acknowledged the message and every other member of the room has it.
 */
export async function runBroadcast(ctx: ProbeContext, options: BroadcastOptions): Promise<BroadcastResult> {
  const run = new BroadcastRun(options, ctx.random.fork(`chat ${ctx.runId}`).uuid().slice(0, 8));
  const { topics, tokens, connections, officialClients, plan, deliveryTimeoutMs } = options;
  const rooms = await openRooms({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    tag: run.tag,
    topics,
    connections,
    officialClients,
    tokens,
    signal: ctx.signal,
    listener: run,
  });
  try {
    const schedule = planSchedule(plan);
    run.begin(rooms);
    const load = await runOpenLoop({
      ...schedule,
      operation: run.operation,
      timeoutMs: deliveryTimeoutMs,
      signal: ctx.signal,
      onInterval: watchLoad(ctx, 'chat', options.seriesName, schedule.durationMs),
    });
    return run.finish(load);
  } finally {
    await closeRooms(rooms);
  }
}

interface RoomState {
  readonly room: Room;
  readonly deliveries: RoomDeliveries;
  /** Token and intended time of the message at each place of the window. */
  readonly tokens: Float64Array;
  readonly intendedMs: Float64Array;
  /** 1 where a member of the room had been cut off before the message was sent: it cannot reach everybody. */
  readonly partial: Uint8Array;
}

/** Distinct texts kept of what the server said; the rest is counted under `other`. */
const keptTroubles = 20;

class BroadcastRun implements RoomListener {
  readonly tag: string;
  readonly #options: BroadcastOptions;
  readonly #latency = { raw: new LatencyHistogram(), official: new LatencyHistogram() };
  readonly #ackLatency = new LatencyHistogram();
  readonly #troubles = new Map<string, number>();
  readonly #cut = new Set<string>();
  #rooms: RoomState[] = [];
  #settle: Settle | undefined;
  #isOver = false;

  constructor(options: BroadcastOptions, tag: string) {
    this.#options = options;
    this.tag = tag;
  }

  begin(rooms: readonly Room[]): void {
    const { plan, deliveryTimeoutMs } = this.#options;
    const window = windowFor(plan.ratePerS / rooms.length, deliveryTimeoutMs);
    this.#rooms = rooms.map((room) => ({
      room,
      deliveries: new RoomDeliveries({
        receivers: room.members.length,
        senders: room.members.length,
        window,
        isOfficial: (receiver) => room.kinds[receiver] === 'official',
      }),
      tokens: new Float64Array(window),
      intendedMs: new Float64Array(window),
      partial: new Uint8Array(window),
    }));
  }

  readonly operation: Operation = (token, index, intendedMs, settle) => {
    this.#settle = settle;
    const room = index % this.#rooms.length;
    const message = Math.floor(index / this.#rooms.length);
    const state = this.#rooms[room]!;
    const sender = message % state.room.members.length;
    const wanted = state.deliveries.open(message, sender, sender);
    const place = message & (state.tokens.length - 1);
    state.partial[place] = wanted < state.room.members.length - 1 ? 1 : 0;
    state.tokens[place] = token;
    state.intendedMs[place] = intendedMs;
    if (state.room.members[sender]!.send(message, `member-${room}-${sender}`)) return;
    state.deliveries.refuse(message);
    settle(token, 'rejected', 'the sender is not in the room any more');
  };

  delivery(room: number, receiver: number, message: number, kind: MemberKind): void {
    const state = this.#rooms[room];
    // a delivery before the run began, or of somebody else's message in the same room
    if (!state || message < 0 || this.#isOver) return;
    if (state.deliveries.deliver(message, receiver) !== 'first') return;
    const place = message & (state.tokens.length - 1);
    this.#latency[kind].recordMs(performance.now() - state.intendedMs[place]!);
    if (state.deliveries.missing(message) === 0 && state.deliveries.isAccepted(message)) {
      this.#complete(state, place);
    }
  }

  answer(room: number, message: number, ok: boolean, reason: string): void {
    const state = this.#rooms[room];
    if (!state || this.#isOver) return;
    const place = message & (state.tokens.length - 1);
    if (!ok) {
      // a client that gave up waiting knows nothing: the message may have been delivered
      if (!reason.includes('timed out')) state.deliveries.refuse(message);
      this.#note(reason);
      this.#settle?.(state.tokens[place]!, 'rejected', reason);
      return;
    }
    this.#ackLatency.recordMs(performance.now() - state.intendedMs[place]!);
    if (state.deliveries.accept(message) === 0) this.#complete(state, place);
  }

  /** Everybody who could get it has it; that is only the whole room when nobody had been cut off. */
  #complete(state: RoomState, place: number): void {
    const token = state.tokens[place]!;
    if (state.partial[place] === 1)
      this.#settle?.(token, 'rejected', 'a member of the room had been cut off');
    else this.#settle?.(token, 'ok');
  }

  trouble(room: number, receiver: number, message: string): void {
    if (this.#isOver) return;
    this.#note(message);
    this.#cut.add(`${room}/${receiver}`);
    this.#rooms[room]?.deliveries.cut(receiver);
  }

  finish(load: LoadResult): BroadcastResult {
    this.#isOver = true;
    const counts = { delivered: 0, lost: 0, duplicated: 0, reordered: 0, unknown: 0, unexpected: 0 };
    const official = { delivered: 0, lost: 0 };
    let [disagreements, unanswered, receiversWithLoss, receivers, fanOut] = [0, 0, 0, 0, 0];
    for (const { deliveries, room } of this.#rooms) {
      deliveries.finish();
      for (const key of ['delivered', 'lost', 'duplicated', 'reordered', 'unknown', 'unexpected'] as const) {
        counts[key] += deliveries.counts[key];
      }
      official.delivered += deliveries.official.delivered;
      official.lost += deliveries.official.lost;
      disagreements += deliveries.disagreements;
      unanswered += deliveries.unanswered;
      receiversWithLoss += deliveries.lostBy.filter((lost) => lost > 0).length;
      receivers += room.members.length;
      fanOut += (room.members.length - 1) / this.#rooms.length;
    }
    const troubles = Object.fromEntries(this.#troubles);
    const [latency, ackLatency, receiversCut] = [this.#latency, this.#ackLatency, this.#cut.size];
    return {
      load,
      counts,
      disagreements,
      unanswered,
      official,
      receiversWithLoss,
      receivers,
      receiversCut,
      fanOut,
      latency,
      ackLatency,
      troubles,
    };
  }

  #note(text: string): void {
    const key = this.#troubles.has(text) || this.#troubles.size < keptTroubles ? text : 'other';
    this.#troubles.set(key, (this.#troubles.get(key) ?? 0) + 1);
  }
}

/** What the server said about rates, with how often. */
export function rateLimitEvidence(troubles: Readonly<Record<string, number>>): string[] {
  return Object.entries(troubles)
    .filter(([text]) => classifyRefusal(text) === 'rate_limit')
    .map(([text, times]) => `${times}× "${text}"`);
}
