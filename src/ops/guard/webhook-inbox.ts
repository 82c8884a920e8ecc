import type { IncomingMessage, ServerResponse } from 'node:http';
import { withDeadline } from '../../kernel/deadline.ts';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { LiveKitEvent, WebhookVerifier } from '../../target/livekit/webhook.ts';

/** What became of a delivery. */
export type WebhookResult = 'accepted' | 'duplicate' | 'forged' | 'malformed' | 'overloaded';

export interface WebhookInboxOptions {
  readonly verify: WebhookVerifier;
  readonly log: Logger;
  /** Told of every event once, after its sender was answered. Must not throw. */
  readonly onEvent: (event: LiveKitEvent) => void;
  readonly onResult: (result: WebhookResult) => void;
}

/** Room metadata may be long; whatever is longer than this is no webhook. */
const bodyBytesLimit = 256 * 1024;
/** LiveKit sends an event in one piece; a sender that takes its time is none. */
const bodyMs = 5_000;
/** A sender that is told no and goes on sending is not listened to any longer. */
const lingerMs = 2_000;
/** Deliveries being read at once; LiveKit comes again after a 503, and its events are hints at most. */
const atOnceLimit = 256;
/** Events remembered to tell repeats: LiveKit gives one up after 30 s, and a signature ends after 5 minutes. */
const rememberedLimit = 10_000;
/** A mis-keyed server sends each of its events; one line a minute says so. */
const complainEveryMs = 60_000;

/**
 * Receives LiveKit's webhooks. It answers before anything is done about one: LiveKit sends the events of a room one
 * after the other, and waits for ever for an answer. Nothing rests on them, they only make the guard look sooner.
 */
export class WebhookInbox {
  readonly #options: WebhookInboxOptions;
  readonly #seen = new Set<string>();
  #reading = 0;
  #complainedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: WebhookInboxOptions) {
    this.#options = options;
  }

  async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#reading >= atOnceLimit) {
      request.resume();
      return this.#answer(response, 503, 'overloaded');
    }
    this.#reading += 1;
    try {
      const body = await withDeadline(readBody(request), bodyMs, 'the body');
      await this.#judge(body, request.headers.authorization, response);
    } catch (error) {
      this.#options.log.debug('guard: a webhook could not be read', { error: messageOf(error) });
      this.#turnDown(request, response);
    } finally {
      this.#reading -= 1;
    }
  }

  async #judge(body: string, authorization: string | undefined, response: ServerResponse): Promise<void> {
    const event = await this.#options.verify(body, authorization);
    if ('refused' in event) {
      this.#complain(event.refused);
      return this.#answer(response, 401, 'forged');
    }
    if (!this.#isNew(event.id)) return this.#answer(response, 200, 'duplicate');
    this.#answer(response, 200, 'accepted');
    this.#options.onEvent(event);
  }

  #isNew(id: string): boolean {
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    // a set gives its oldest first
    for (const oldest of this.#seen) {
      if (this.#seen.size <= rememberedLimit) break;
      this.#seen.delete(oldest);
    }
    return true;
  }

  #answer(response: ServerResponse, status: number, result: WebhookResult): void {
    if (!response.headersSent) response.writeHead(status).end();
    this.#options.onResult(result);
  }

  /**
   * Refuses what was not read to its end. The whole answer goes out first and the connection ends behind it, when the
   * sender is done or has had its time: closed with bytes unread it would be reset, and the answer could be lost.
   */
  #turnDown(request: IncomingMessage, response: ServerResponse): void {
    this.#options.onResult('malformed');
    if (response.headersSent || response.destroyed) return;
    response.writeHead(400, { connection: 'close', 'content-length': 0 }).flushHeaders();
    const late = setTimeout(() => response.end(), lingerMs);
    const done = () => {
      clearTimeout(late);
      response.end();
    };
    if (request.complete || request.destroyed) done();
    else request.once('end', done).once('close', done).resume();
  }

  #complain(why: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#complainedAtMs < complainEveryMs) return;
    this.#complainedAtMs = nowMs;
    this.#options.log.warn(
      'guard: a webhook with a bad signature was refused; is LiveKit keyed like this guard?',
      {
        why,
      },
    );
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // without an encoding, every chunk of a request is a Buffer
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bodyBytesLimit) throw new Error(`more than ${bodyBytesLimit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
