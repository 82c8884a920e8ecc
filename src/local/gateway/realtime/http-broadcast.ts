import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../../kernel/errors.ts';
import { isObject } from '../../../kernel/json-object.ts';
import { bearerOf } from '../credentials.ts';
import { type BroadcastContent, broadcastSize, fanOut } from './broadcast.ts';
import type { RealtimeCore } from './core.ts';
import { PolicyFailure } from './policies.ts';
import { UserBroadcast } from './serializer.ts';
import { isNewKey, TokenRefusal, type VerifiedToken, verifyApiKey, verifyToken } from './token.ts';

/** As large as a WebSocket frame may be. */
const bodyBytesMax = 5_000_000;
/** A client that does not finish its body holds a socket, nothing more; 30 s is what Kong gives it. */
const bodyMs = 30_000;

/** An answer other than 202. */
class HttpRefusal extends Error {
  override readonly name = 'HttpRefusal';
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, body: unknown) {
    super(`HTTP ${status}`);
    this.status = status;
    this.body = body;
  }
}

interface BatchMessage {
  readonly topic: string;
  readonly event: string;
  readonly payload: Record<string, unknown>;
  readonly isPrivate: boolean;
}

/**
 * `POST /api/broadcast` (a batch) and `POST /api/broadcast/:topic/events/:event` (one message).
 * @param path without the `/realtime/v1` prefix
 * @param query of the single form: `private=true`
 */
export async function answerBroadcast(
  core: RealtimeCore,
  req: IncomingMessage,
  res: ServerResponse,
  path: string,
  query: URLSearchParams,
): Promise<void> {
  try {
    if (req.method !== 'POST') throw new HttpRefusal(405, { message: 'Method Not Allowed' });
    const token = await authenticate(core, req);
    const body = await readBody(req);
    const single = /^\/api\/broadcast\/([^/]+)\/events\/([^/]+)$/.exec(path);
    if (path === '/api/broadcast') await broadcastBatch(core, req, token, body);
    else if (single)
      await broadcastOne(core, req, token, body, { topic: single[1], event: single[2], query });
    else throw new HttpRefusal(404, { message: 'not found' });
    res.writeHead(202).end();
  } catch (error) {
    if (res.headersSent || res.destroyed) return;
    const [status, answer] = refusalOf(core, error);
    res.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
    res.end(JSON.stringify(answer));
  }
}

function refusalOf(core: RealtimeCore, error: unknown): [number, unknown] {
  if (error instanceof HttpRefusal) return [error.status, error.body];
  if (error instanceof TokenRefusal) return [401, { message: error.connectMessage }];
  core.log.error('REST broadcast failed', { message: messageOf(error) });
  return [500, { message: 'Internal Server Error' }];
}

/** A Bearer JWT speaks for its user; otherwise the API key does. */
async function authenticate(core: RealtimeCore, req: IncomingMessage): Promise<VerifiedToken> {
  const bearer = bearerOf(req.headers.authorization);
  if (bearer && !isNewKey(bearer)) return verifyToken(core.auth, bearer);
  return verifyApiKey(core.auth, headerOf(req, 'apikey') ?? headerOf(req, 'x-api-key') ?? bearer ?? null);
}

function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

async function broadcastBatch(core: RealtimeCore, req: IncomingMessage, token: VerifiedToken, body: Buffer) {
  const messages = parseBatch(core, body);
  refuseOverLimit(core, messages.length);
  const writable = new Map<string, boolean>();
  for (const message of messages) {
    if (message.isPrivate) {
      const known = writable.get(message.topic) ?? (await mayWrite(core, req, token, message.topic));
      writable.set(message.topic, known);
      if (!known) continue; // hosted skips it without a word: the batch is still accepted
    }
    const content = { type: 'broadcast', event: message.event, payload: message.payload };
    publish(core, message.topic, message.isPrivate, content);
  }
}

function parseBatch(core: RealtimeCore, body: Buffer): BatchMessage[] {
  const parsed = parseJson(body);
  const list = isObject(parsed) ? parsed.messages : undefined;
  if (!Array.isArray(list) || list.length === 0) {
    throw new HttpRefusal(422, { errors: { messages: ["can't be blank"] } });
  }
  const errors = list.map((entry) => batchErrors(core, entry));
  if (errors.some((error) => Object.keys(error).length > 0)) {
    throw new HttpRefusal(422, { errors: { messages: errors } });
  }
  return list.map(({ topic, event, payload, private: isPrivate }) => ({
    topic,
    event,
    payload,
    isPrivate: isPrivate === true || isPrivate === 'true',
  }));
}

function batchErrors(core: RealtimeCore, entry: unknown): Record<string, string[]> {
  const fields = isObject(entry) ? entry : {};
  const errors: Record<string, string[]> = {};
  if (typeof fields.topic !== 'string' || fields.topic === '') errors.topic = ["can't be blank"];
  if (typeof fields.event !== 'string' || fields.event === '') errors.event = ["can't be blank"];
  if (fields.payload === undefined || fields.payload === null) errors.payload = ["can't be blank"];
  else if (!isObject(fields.payload)) errors.payload = ['is invalid'];
  else if (core.quota.profile && core.quota.payloadExceeded(broadcastSize(fields.payload))) {
    errors.payload = ['Payload size exceeds tenant limit'];
  }
  return errors;
}

async function broadcastOne(
  core: RealtimeCore,
  req: IncomingMessage,
  token: VerifiedToken,
  body: Buffer,
  target: { topic: string | undefined; event: string | undefined; query: URLSearchParams },
) {
  const [topic, event] = [decode(target.topic), decode(target.event)];
  const isPrivate = target.query.get('private') === 'true';
  const content = parseSingle(req, event, body);
  if (core.quota.payloadExceeded(broadcastSize(content))) {
    throw new HttpRefusal(422, { errors: { payload: ['Payload size exceeds tenant limit'] } });
  }
  refuseOverLimit(core, 0);
  if (isPrivate && !(await mayWrite(core, req, token, topic))) {
    throw new HttpRefusal(403, { message: 'Unauthorized' });
  }
  publish(core, topic, isPrivate, content);
}

function parseSingle(req: IncomingMessage, event: string, body: Buffer): UserBroadcast {
  const type = (req.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (type === 'application/octet-stream') return new UserBroadcast(event, 'binary', body);
  if (type !== 'application/json') {
    throw new HttpRefusal(415, {
      error: 'Unsupported Media Type. Use application/json or application/octet-stream',
    });
  }
  parseJson(body);
  return new UserBroadcast(event, 'json', body);
}

function publish(core: RealtimeCore, topic: string, isPrivate: boolean, content: BroadcastContent): void {
  core.counters.broadcastsReceived++;
  core.quota.countMessages(1);
  fanOut(core, topic, isPrivate, content);
}

function refuseOverLimit(core: RealtimeCore, messages: number): void {
  const refusal = core.quota.restRefusal(messages);
  if (refusal) throw new HttpRefusal(429, { message: refusal });
}

async function mayWrite(core: RealtimeCore, req: IncomingMessage, token: VerifiedToken, topic: string) {
  const headers = customHeaders(req);
  try {
    const writable = await core.policies.write({ topic, claims: token.claims, headers }, ['broadcast']);
    return writable.has('broadcast');
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    core.log.warn('broadcast policy gave no answer', { topic, cause: String(error.cause) });
    return false;
  }
}

/** `x-…` headers: the ones policies may read. */
export function customHeaders(req: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(req.headers)) {
    if (name.startsWith('x-') && typeof value === 'string') headers[name] = value;
  }
  return headers;
}

function decode(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '');
  } catch {
    throw new HttpRefusal(400, { message: 'Bad Request' });
  }
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new HttpRefusal(400, { message: 'Bad Request' });
  }
}

function readBody(req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(
      () => reject(new HttpRefusal(408, { message: 'Request Timeout' })),
      bodyMs,
    ).unref();
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) {
        clearTimeout(timer);
        req.resume(); // read on and throw away, so that the answer gets through
        reject(new HttpRefusal(413, { message: 'Request Entity Too Large' }));
      } else {
        chunks.push(chunk);
      }
    });
    req.on('end', () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks));
    });
    req.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    req.on('close', () => clearTimeout(timer));
  });
}
