import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { messageOf } from '../../../kernel/errors.ts';
import type { Channel } from './channel.ts';
import { handleChannelMessage } from './channel-events.ts';
import { joinChannel } from './channel-join.ts';
import type { RealtimeCore } from './core.ts';
import { OutboxSocket } from './outbox.ts';
import {
  BadFrame,
  type ClientMessage,
  decodeBinary,
  decodeText,
  encodeReply,
  type Vsn,
} from './serializer.ts';
import type { VerifiedToken } from './token.ts';

/** Frames that may wait behind one slow answer; reading is paused meanwhile, so only what was read already adds up. */
const waitingFramesMax = 10_000;
/** Topics are names, not data: beyond this a frame is nonsense. Kind 3 and 4 carry at most 255 bytes anyway. */
const topicBytesMax = 8_192;

/**
 * One client socket. Messages are handled strictly in order, as Phoenix's socket process does: while one
 * waits for the database (a join, a first write to a private channel) the ones behind it wait too.
 */
export class Connection {
  readonly core: RealtimeCore;
  readonly vsn: Vsn;
  /** What the socket was opened with: channels without a token of their own act as it. */
  readonly token: VerifiedToken;
  readonly headers: Readonly<Record<string, string>>;
  readonly channels = new Map<string, Channel>();
  lastHeardMs = performance.now();
  readonly #ws: WebSocket;
  readonly #out: OutboxSocket;
  readonly #onClosed: (connection: Connection) => void;
  #waiting: Array<{ data: Buffer; isBinary: boolean }> = [];
  #busy = false;
  #isUser = false;
  #closing = false;

  constructor(
    core: RealtimeCore,
    ws: WebSocket,
    socket: Socket,
    fields: {
      vsn: Vsn;
      token: VerifiedToken;
      headers: Readonly<Record<string, string>>;
      onClosed: (connection: Connection) => void;
    },
  ) {
    this.core = core;
    this.vsn = fields.vsn;
    this.token = fields.token;
    this.headers = fields.headers;
    this.#ws = ws;
    this.#onClosed = fields.onClosed;
    this.#out = new OutboxSocket(core.outbox, socket, () => {
      core.counters.slowReadersCut++;
      core.log.warn('slow reader cut', { unreadBytes: socket.writableLength, channels: this.channels.size });
      ws.terminate();
    });
    // with the default binaryType 'nodebuffer' every message comes as one Buffer
    ws.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    ws.on('ping', () => this.#heard());
    ws.on('close', () => this.#closed());
    // ws answers protocol errors itself: 1009 for too large frames, 1007 for bad UTF-8, 1002 for the rest
    ws.on('error', (error) => {
      core.counters.badFrames++;
      core.log.debug('websocket error', { message: messageOf(error) });
    });
  }

  get closed(): boolean {
    return this.#closing;
  }

  send(frame: Buffer): void {
    this.#out.send(frame);
  }

  get isUser(): boolean {
    return this.#isUser;
  }

  /** With its first accepted join a socket counts as a user, until it closes. */
  becomeUser(): void {
    if (!this.#isUser) this.core.gauges.users++;
    this.#isUser = true;
  }

  forget(channel: Channel): void {
    if (this.channels.get(channel.wireTopic) === channel) this.channels.delete(channel.wireTopic);
  }

  /** Sends what is waiting, then the close frame. */
  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#waiting = [];
    this.#out.flush();
    this.#ws.close(code, reason);
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #heard(): void {
    this.lastHeardMs = performance.now();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#heard();
    this.core.counters.framesReceived++;
    if (this.#closing) return;
    if (!this.#busy) {
      this.#handle(data, isBinary);
    } else if (this.#waiting.length < waitingFramesMax) {
      this.#waiting.push({ data, isBinary });
    } else {
      this.close(1008, 'too many messages while one is being answered');
    }
  }

  #handle(data: Buffer, isBinary: boolean): void {
    let answer: void | Promise<void>;
    try {
      const message = isBinary ? decodeBinary(this.vsn, data) : decodeText(this.vsn, data.toString('utf8'));
      answer = this.#dispatch(message);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (answer) this.#wait(answer);
  }

  #wait(answer: Promise<void>): void {
    this.#busy = true;
    this.#ws.pause();
    answer.then(
      () => this.#resume(),
      (error) => {
        this.#fail(error);
        this.#resume();
      },
    );
  }

  #resume(): void {
    this.#busy = false;
    while (!this.#busy && !this.#closing) {
      const next = this.#waiting.shift();
      if (!next) break;
      this.#handle(next.data, next.isBinary);
    }
    if (!this.#busy) this.#ws.resume();
  }

  #fail(error: unknown): void {
    this.core.counters.badFrames++;
    if (error instanceof BadFrame) {
      this.core.log.debug('bad frame', { reason: error.message });
      this.close(1011, error.message);
      return;
    }
    this.core.log.error('a message could not be handled', { message: messageOf(error) });
    this.close(1011, 'internal error');
  }

  #dispatch(message: ClientMessage): void | Promise<void> {
    const { topic, event, ref, joinRef } = message;
    if (topic === 'phoenix') {
      this.#reply(message, 'ok', {});
      return;
    }
    if (Buffer.byteLength(topic) > topicBytesMax) throw new BadFrame('topic too long');
    if (event === 'phx_join') return joinChannel(this, message);
    const channel = this.channels.get(topic);
    if (event === 'phx_leave') {
      this.#reply(message, 'ok', {});
      // a leave with another join_ref is a late one, meant for a join that has been replaced since
      if (channel && (joinRef === null || joinRef === channel.joinRef)) channel.close('phx_close');
      return;
    }
    if (channel) return handleChannelMessage(channel, message);
    this.send(encodeReply(this.vsn, { joinRef, ref, topic }, 'error', { reason: 'unmatched topic' }));
  }

  #reply(to: ClientMessage, status: 'ok' | 'error', response: unknown): void {
    this.send(encodeReply(this.vsn, to, status, response));
  }

  #closed(): void {
    this.#closing = true;
    this.#waiting = [];
    for (const channel of [...this.channels.values()]) channel.close(null);
    if (this.#isUser) this.core.gauges.users--;
    this.#onClosed(this);
  }
}
