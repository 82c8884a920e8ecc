import { createChatThrottle } from '../../app/chat-throttle.ts';
import { constantArrivals } from '../../engine/constant-arrivals.ts';
import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import type { LoadResult } from '../../engine/load-result.ts';
import { type Operation, runOpenLoop, type Settle } from '../../engine/open-loop.ts';
import { withDeadline } from '../../kernel/deadline.ts';
import { closeOfficialClient, openOfficialClient } from '../../target/supabase/official-client.ts';
import { RawRealtimeSocket } from '../../target/supabase/raw-realtime.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import { watchLoad } from '../load-watch.ts';
import type { ProbeContext } from '../probe.ts';
import { subscribed } from './chat-member.ts';
import { type DeliveryCounts, RoomDeliveries, windowFor } from './room-deliveries.ts';

export interface DatabaseRunOptions {
  readonly streamId: string;
  /** Senders in turn; with more users than messages per second none sends faster than one a second. */
  readonly users: readonly SyntheticUser[];
  readonly ratePerS: number;
  readonly durationMs: number;
  /** Raw sockets that subscribe to the changes; one supabase-js client is added to them. */
  readonly rawReceivers: number;
  readonly deliveryTimeoutMs: number;
  readonly connections: number;
  readonly seriesName: string;
}

export interface DatabaseRunResult {
  readonly load: LoadResult;
  readonly counts: DeliveryCounts;
  readonly disagreements: number;
  readonly unanswered: number;
  readonly official: { readonly delivered: number; readonly lost: number };
  readonly receivers: number;
  /** From the intended start of the RPC to the change at a receiver. */
  readonly latency: LatencyHistogram;
  /** From the intended start to the RPC's answer. */
  readonly writeLatency: LatencyHistogram;
  /** Messages the sender's own throttle held back; none when the schedule keeps to one a second. */
  readonly throttled: number;
}

/** Hosted projects need 1–3 s to their first subscription; a cold one takes longer (supabase.md §8). */
const subscriptionMs = 20_000;

/**
 * Chat as the app stores it: `send_chat_message` over HTTP as one user after another, read back through
 * postgres_changes under RLS. Ids are chosen before the write, because the change may arrive before the answer.
 */
export async function runDatabaseChat(
  ctx: ProbeContext,
  options: DatabaseRunOptions,
): Promise<DatabaseRunResult> {
  const { supabaseUrl, anonKey } = ctx.target;
  const rest = new SupabaseRest({
    supabaseUrl,
    apiKey: anonKey.reveal(),
    connections: options.connections,
    timeoutMs: options.deliveryTimeoutMs,
  });
  const run = new DatabaseRun(options, rest, ctx.random.fork(`chat rows ${ctx.runId}`).uuid().slice(0, 8));
  const receivers: Array<() => Promise<void>> = [];
  try {
    for (let receiver = 0; receiver < options.rawReceivers; receiver++) {
      receivers.push(await openRawReceiver(ctx, options, receiver, run));
    }
    receivers.push(await openOfficialReceiver(ctx, options, options.rawReceivers, run));
    const load = await runOpenLoop({
      arrivals: constantArrivals(options.ratePerS),
      durationMs: options.durationMs,
      operation: run.operation,
      timeoutMs: options.deliveryTimeoutMs,
      signal: ctx.signal,
      onInterval: watchLoad(ctx, 'chat database', options.seriesName, options.durationMs),
    });
    return run.finish(load);
  } finally {
    await Promise.allSettled(receivers.map((close) => close()));
    await rest.close();
  }
}

class DatabaseRun {
  readonly deliveries: RoomDeliveries;
  readonly #options: DatabaseRunOptions;
  readonly #rest: SupabaseRest;
  readonly #idPrefix: string;
  readonly #headers: string[][];
  readonly #throttles: Array<ReturnType<typeof createChatThrottle>>;
  readonly #tokens: Float64Array;
  readonly #intendedMs: Float64Array;
  readonly #latency = new LatencyHistogram();
  readonly #writeLatency = new LatencyHistogram();
  #settle: Settle | undefined;
  #throttled = 0;

  constructor(options: DatabaseRunOptions, rest: SupabaseRest, tag: string) {
    this.#options = options;
    this.#rest = rest;
    this.#idPrefix = `${tag}-0000-4000-8000-`;
    this.#headers = options.users.map((user) => rest.headersFor(user.token));
    this.#throttles = options.users.map(() => createChatThrottle({ now: () => performance.now() }));
    const window = windowFor(options.ratePerS, options.deliveryTimeoutMs);
    this.#tokens = new Float64Array(window);
    this.#intendedMs = new Float64Array(window);
    this.deliveries = new RoomDeliveries({
      receivers: options.rawReceivers + 1,
      senders: options.users.length,
      window,
      isOfficial: (receiver) => receiver === options.rawReceivers,
    });
  }

  readonly operation: Operation = (token, message, intendedMs, settle) => {
    this.#settle = settle;
    const sender = message % this.#options.users.length;
    const place = message & (this.#tokens.length - 1);
    this.deliveries.open(message, sender, -1);
    this.#tokens[place] = token;
    this.#intendedMs[place] = intendedMs;
    if (!this.#throttles[sender]!.tryAcquire().allowed) {
      this.#throttled++;
      this.deliveries.refuse(message);
      settle(token, 'rejected', "the sender's own throttle");
      return;
    }
    const body = JSON.stringify({
      p_id: `${this.#idPrefix}${message.toString(16).padStart(12, '0')}`,
      p_stream_id: this.#options.streamId,
      p_body: `message ${message}`,
    });
    this.#rest.sendRpc('send_chat_message', body, this.#headers[sender]!, (status, text) =>
      this.#answered(message, token, intendedMs, status, text),
    );
  };

  #answered(message: number, token: number, intendedMs: number, status: number, text: string): void {
    if (status >= 200 && status < 300) {
      this.#writeLatency.recordMs(performance.now() - intendedMs);
      if (this.deliveries.accept(message) === 0) this.#settle?.(token, 'ok');
    } else if (status === 0) {
      // no answer: it may have been written or not
      this.#settle?.(token, 'error', text);
    } else {
      this.deliveries.refuse(message);
      this.#settle?.(token, status >= 500 ? 'error' : 'rejected', `http ${status}`);
    }
  }

  receive(receiver: number, record: unknown): void {
    const id = typeof record === 'object' && record !== null && 'id' in record ? record.id : undefined;
    if (typeof id !== 'string' || !id.startsWith(this.#idPrefix)) return;
    const message = Number.parseInt(id.slice(this.#idPrefix.length), 16);
    if (this.deliveries.deliver(message, receiver) !== 'first') return;
    const place = message & (this.#tokens.length - 1);
    this.#latency.recordMs(performance.now() - this.#intendedMs[place]!);
    if (this.deliveries.missing(message) === 0 && this.deliveries.isAccepted(message)) {
      this.#settle?.(this.#tokens[place]!, 'ok');
    }
  }

  finish(load: LoadResult): DatabaseRunResult {
    this.deliveries.finish();
    const { counts, disagreements, unanswered, official } = this.deliveries;
    return {
      load,
      counts,
      disagreements,
      unanswered,
      official,
      receivers: this.#options.rawReceivers + 1,
      latency: this.#latency,
      writeLatency: this.#writeLatency,
      throttled: this.#throttled,
    };
  }
}

function changesOf(streamId: string) {
  const filter = `stream_id=eq.${streamId}`;
  return { event: 'INSERT', schema: 'public', table: 'chat_messages', filter } as const;
}

async function openRawReceiver(
  ctx: ProbeContext,
  options: DatabaseRunOptions,
  receiver: number,
  run: DatabaseRun,
): Promise<() => Promise<void>> {
  const socket = await RawRealtimeSocket.open({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    signal: ctx.signal,
  });
  try {
    const channel = await socket.join(`chat-rows:${options.streamId}`, {
      isPrivate: false,
      ack: false,
      accessToken: options.users[receiver % options.users.length]!.token,
      postgresChanges: [changesOf(options.streamId)],
      onPostgresChange: (data) => run.receive(receiver, data.record),
      onTrouble: () => run.deliveries.cut(receiver),
    });
    await channel.waitForPostgresChanges(subscriptionMs);
  } catch (error) {
    await socket.close();
    throw error;
  }
  return () => socket.close();
}

async function openOfficialReceiver(
  ctx: ProbeContext,
  options: DatabaseRunOptions,
  receiver: number,
  run: DatabaseRun,
): Promise<() => Promise<void>> {
  const { streamId, users } = options;
  const client = await openOfficialClient({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    accessToken: users[receiver % users.length]!.token,
  });
  const flowing = Promise.withResolvers<void>();
  const topic = `chat-rows-official:${streamId}`;
  const channel = client
    .channel(topic)
    .on('postgres_changes', changesOf(streamId), (change) => run.receive(receiver, change.new))
    .on('system', {}, (message: { extension?: string; status?: string }) => {
      if (message.extension === 'postgres_changes' && message.status === 'ok') flowing.resolve();
    });
  try {
    await subscribed(channel, client, topic, () => run.deliveries.cut(receiver));
    await withDeadline(flowing.promise, subscriptionMs, `postgres_changes of ${topic}`);
  } catch (error) {
    await closeOfficialClient(client);
    throw error;
  }
  return () => closeOfficialClient(client);
}
