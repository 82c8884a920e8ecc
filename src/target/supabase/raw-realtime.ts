import WebSocket from 'ws';
import { DeadlineError, withDeadline } from '../../kernel/deadline.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { RawChannel, type RawChannelOptions } from './raw-channel.ts';
import { decodeBroadcast, decodeText, encodeText, type TextFrame } from './realtime-frames.ts';
import { classifyRefusal } from './realtime-refusals.ts';

export interface RawRealtimeOptions {
  /** The project's URL: `http(s)://…` without a path. */
  readonly supabaseUrl: string;
  readonly apiKey: string;
  readonly signal: AbortSignal;
  /** For the upgrade and for each join. */
  readonly timeoutMs?: number;
}

/** Realtime refuses after a deliberate wait of up to 5 s; twice that still tells a refusal from silence. */
const defaultTimeoutMs = 10_000;
/** supabase-js's own interval; the server drops a socket that is silent for twice as long. */
const heartbeatMs = 25_000;
/** Chat bodies are a few hundred bytes; anything larger than this is not ours to buffer. */
const maxPayloadBytes = 256 * 1024;

/**
 * One socket to Realtime, serializer 2.0.0, for the mass of a load run: no compression contexts, no per-delivery
 * JSON, a third of the memory and half the CPU of supabase-js (supabase.md §5). The official client stays the
 * reference; a probe runs a few of it beside these.
 */
export class RawRealtimeSocket {
  readonly #socket: WebSocket;
  readonly #timeoutMs: number;
  readonly #channels = new Map<string, RawChannel>();
  readonly #heartbeat: NodeJS.Timeout;
  #refs = 0;
  #heartbeatPending = false;

  private constructor(socket: WebSocket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    // safe: with ws's default binaryType every message is one Buffer
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('close', (code, reason) => this.#onClose(`closed ${code} ${reason.toString()}`.trim()));
    socket.on('error', () => {}); // 'close' follows, with the code
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    this.#heartbeat.unref();
  }

  /** @throws TF-SUP-001 unreachable, TF-SUP-002 key refused, TF-SUP-003 refused otherwise or silent */
  static async open(options: RawRealtimeOptions): Promise<RawRealtimeSocket> {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    options.signal.throwIfAborted();
    const url = new URL('/realtime/v1/websocket', options.supabaseUrl.replace(/^http/, 'ws'));
    url.searchParams.set('apikey', options.apiKey);
    url.searchParams.set('vsn', '2.0.0');
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: maxPayloadBytes,
      skipUTF8Validation: true,
      handshakeTimeout: timeoutMs,
    });
    const onAbort = () => socket.terminate();
    options.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await opened(socket, options.supabaseUrl);
    } catch (error) {
      options.signal.throwIfAborted();
      throw error;
    } finally {
      options.signal.removeEventListener('abort', onAbort);
    }
    return new RawRealtimeSocket(socket, timeoutMs);
  }

  /**
   * Joins `realtime:<topic>` and waits for the reply.
   * @throws TF-SUP-003 with the server's reason, or when there is no reply
   */
  async join(topic: string, options: RawChannelOptions): Promise<RawChannel> {
    const fullTopic = `realtime:${topic}`;
    const joinRef = `j${this.#refs++}`;
    const channel = new RawChannel(fullTopic, joinRef, options, (data) => this.#send(data));
    this.#channels.set(fullTopic, channel);
    try {
      const reply = await withDeadline(channel.join(), this.#timeoutMs, `the join of ${topic}`);
      if (reply.ok) return channel;
      throw joinRefused(topic, reply.reason);
    } catch (error) {
      this.#channels.delete(fullTopic);
      if (!(error instanceof DeadlineError)) throw error;
      throw new TrollfixError('TF-SUP-003', `Realtime did not answer the join of ${topic}`, { cause: error });
    }
  }

  /** Idempotent; resolves when the socket is closed, by force after a second. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    await new Promise<void>((resolve) => {
      const force = setTimeout(() => this.#socket.terminate(), 1000);
      this.#socket.once('close', () => {
        clearTimeout(force);
        resolve();
      });
      this.#socket.close(1000);
    });
  }

  #send(data: string | Buffer): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const delivery = decodeBroadcast(data);
      if (delivery) this.#channels.get(delivery.topic)?.receiveBroadcast(delivery.event, delivery.body);
      return;
    }
    const frame = decodeText(data.toString('utf8'));
    if (frame?.topic === 'phoenix') this.#heartbeatPending = false;
    else if (frame) this.#receiveText(frame);
  }

  #receiveText(frame: TextFrame): void {
    const channel = this.#channels.get(frame.topic);
    // a frame of an earlier join of the same topic is not this channel's
    if (!channel || (frame.joinRef !== null && frame.joinRef !== channel.joinRef)) return;
    channel.receive(frame);
    if (frame.event === 'phx_close') this.#channels.delete(frame.topic);
  }

  #beat(): void {
    if (this.#heartbeatPending) {
      this.#socket.terminate();
      return;
    }
    this.#heartbeatPending = true;
    const ref = `h${this.#refs++}`;
    this.#send(encodeText({ joinRef: null, ref, topic: 'phoenix', event: 'heartbeat', payload: {} }));
  }

  #onClose(why: string): void {
    clearInterval(this.#heartbeat);
    for (const channel of this.#channels.values()) channel.lose(why);
    this.#channels.clear();
  }
}

function opened(socket: WebSocket, supabaseUrl: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.removeAllListeners();
      socket.on('error', () => {}); // terminating a half-open socket reports once more
      socket.terminate();
      reject(error);
    };
    socket.once('open', () => {
      socket.removeAllListeners();
      resolve();
    });
    socket.once('error', (error) =>
      fail(
        new TrollfixError('TF-SUP-001', `no WebSocket to ${new URL(supabaseUrl).host}: ${messageOf(error)}`, {
          cause: error,
        }),
      ),
    );
    socket.once('close', () => fail(new TrollfixError('TF-SUP-001', 'the WebSocket closed while it opened')));
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      const report = () => fail(upgradeRefused(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
      response.on('data', (chunk: Buffer) => chunks.length < 16 && chunks.push(chunk));
      response.once('end', report);
      response.once('error', report);
    });
  });
}

function upgradeRefused(status: number, body: string): TrollfixError {
  const code = status === 401 || status === 403 ? 'TF-SUP-002' : 'TF-SUP-003';
  return new TrollfixError(code, `Realtime refused the socket with HTTP ${status}`, {
    why: body.slice(0, 300),
    details: { status, refusal: status === 429 ? 'rate_limit' : classifyRefusal(body) },
  });
}

function joinRefused(topic: string, reason: string): TrollfixError {
  return new TrollfixError('TF-SUP-003', `Realtime refused the join of ${topic}: ${reason}`, {
    details: { refusal: classifyRefusal(reason) },
  });
}
