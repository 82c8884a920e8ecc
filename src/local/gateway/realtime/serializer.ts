import { isObject } from '../../../kernel/json-object.ts';
import { frameOf } from './wire-frame.ts';

/** The two serializers of Phoenix sockets: `vsn=1.0.0` (JSON objects) and `vsn=2.0.0` (JSON arrays and binary). */
export type Vsn = '1.0.0' | '2.0.0';

/** A message as a client sent it. */
export interface ClientMessage {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  /** Any JSON value; a `UserBroadcast` when it came as a binary broadcast push. */
  readonly payload: unknown;
}

/** A broadcast whose body nobody here looks into: kind 3 from the client, kind 4 to it. */
export class UserBroadcast {
  readonly event: string;
  readonly encoding: 'json' | 'binary';
  readonly body: Buffer;

  constructor(event: string, encoding: 'json' | 'binary', body: Buffer) {
    this.event = event;
    this.encoding = encoding;
    this.body = body;
  }
}

/** A frame that no serializer can read: the hosted socket process crashes on it, which closes the socket with 1011. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

const kindPush = 0;
const kindUserBroadcastPush = 3;
const kindUserBroadcast = 4;

/** @throws BadFrame */
export function decodeText(vsn: Vsn, text: string): ClientMessage {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BadFrame('the frame is not JSON');
  }
  if (vsn === '2.0.0') {
    if (!Array.isArray(parsed) || parsed.length < 5) throw new BadFrame('expected a V2 array of five');
    return message(parsed[0], parsed[1], parsed[2], parsed[3], parsed[4]);
  }
  if (!isObject(parsed)) throw new BadFrame('expected a V1 object');
  return message(parsed.join_ref, parsed.ref, parsed.topic, parsed.event, parsed.payload);
}

function message(joinRef: unknown, ref: unknown, topic: unknown, event: unknown, payload: unknown) {
  if (typeof topic !== 'string' || typeof event !== 'string')
    throw new BadFrame('topic and event must be text');
  return { joinRef: refText(joinRef), ref: refText(ref), topic, event, payload };
}

/** Refs are opaque to the server; clients send text, some send numbers. */
function refText(ref: unknown): string | null {
  if (ref === null || ref === undefined) return null;
  if (typeof ref === 'string') return ref;
  if (typeof ref === 'number') return String(ref);
  throw new BadFrame('a ref must be text');
}

/**
 * Binary frames of `vsn=2.0.0`: kind 3 (user broadcast push) and kind 0 (a Phoenix push, which no
 * supported client sends: it is read so that it can be ignored like an unknown event).
 * @throws BadFrame
 */
export function decodeBinary(vsn: Vsn, frame: Buffer): ClientMessage {
  if (vsn !== '2.0.0') throw new BadFrame('binary frames need vsn 2.0.0');
  const kind = frame[0];
  if (kind === kindUserBroadcastPush) return decodeUserBroadcastPush(frame);
  if (kind === kindPush) return decodePush(frame);
  throw new BadFrame(`unknown binary kind ${kind}`);
}

function decodeUserBroadcastPush(frame: Buffer): ClientMessage {
  const read = fieldReader(frame, 7, 5);
  const encoding = frame[6] === 0 ? 'binary' : 'json';
  const [joinRef, ref, topic, event] = [read(1), read(2), read(3), read(4)];
  read(5); // metadata: the server has no use for it yet (hosted neither)
  return {
    joinRef: joinRef === '' ? null : joinRef,
    ref: ref === '' ? null : ref,
    topic,
    event: 'broadcast',
    payload: new UserBroadcast(event, encoding, read.rest()),
  };
}

function decodePush(frame: Buffer): ClientMessage {
  const read = fieldReader(frame, 5, 4);
  const [joinRef, ref, topic, event] = [read(1), read(2), read(3), read(4)];
  return { joinRef, ref, topic, event, payload: read.rest() };
}

/** Reads fields whose one-byte lengths stand at the front of the frame; they must be read in order. */
function fieldReader(frame: Buffer, headerBytes: number, fields: number) {
  if (frame.length < headerBytes) throw new BadFrame('binary frame shorter than its header');
  let end = headerBytes;
  for (let i = 1; i <= fields; i++) end += frame[i] ?? 0;
  if (end > frame.length) throw new BadFrame('binary frame shorter than its lengths say');
  let offset = headerBytes;
  const read = (index: number): string => {
    const start = offset;
    offset += frame[index] ?? 0;
    return frame.toString('utf8', start, offset);
  };
  read.rest = () => frame.subarray(offset);
  return read;
}

/** A JSON message to one client: replies and pushes. `payloadJson` is JSON text already. */
export function encodeMessage(
  vsn: Vsn,
  fields: { joinRef: string | null; ref: string | null; topic: string; event: string },
  payloadJson: string,
): Buffer {
  const topic = JSON.stringify(fields.topic);
  const event = JSON.stringify(fields.event);
  const ref = JSON.stringify(fields.ref);
  const joinRef = JSON.stringify(fields.joinRef);
  if (vsn === '2.0.0') return frameOf(`[${joinRef},${ref},${topic},${event},${payloadJson}]`);
  // Phoenix's V1 serializer leaves join_ref out of what it sends
  return frameOf(`{"topic":${topic},"event":${event},"payload":${payloadJson},"ref":${ref}}`);
}

/** A reply: `phx_reply` with status and response. */
export function encodeReply(
  vsn: Vsn,
  to: { joinRef: string | null; ref: string | null; topic: string },
  status: 'ok' | 'error',
  response: unknown,
): Buffer {
  const payload = JSON.stringify({ status, response });
  return encodeMessage(vsn, { ...to, event: 'phx_reply' }, payload);
}

/**
 * A user broadcast for receivers of one serializer, or null when that serializer cannot carry it
 * (binary bodies do not exist in 1.0.0; topic, event and metadata of kind 4 are at most 255 bytes each).
 */
export function encodeUserBroadcast(
  vsn: Vsn,
  topic: string,
  broadcast: UserBroadcast,
  meta: Record<string, unknown> | null,
): Buffer | null {
  return vsn === '2.0.0'
    ? encodeKind4(topic, broadcast, meta)
    : encodeUserBroadcastAsJson(topic, broadcast, meta);
}

function encodeKind4(topic: string, broadcast: UserBroadcast, meta: Record<string, unknown> | null) {
  const topicBytes = Buffer.from(topic);
  const eventBytes = Buffer.from(broadcast.event);
  const metaBytes = Buffer.from(meta ? JSON.stringify(meta) : '');
  if (topicBytes.length > 255 || eventBytes.length > 255 || metaBytes.length > 255) return null;
  const header = Buffer.from([
    kindUserBroadcast,
    topicBytes.length,
    eventBytes.length,
    metaBytes.length,
    broadcast.encoding === 'json' ? 1 : 0,
  ]);
  return frameOf(Buffer.concat([header, topicBytes, eventBytes, metaBytes, broadcast.body]));
}

function encodeUserBroadcastAsJson(
  topic: string,
  broadcast: UserBroadcast,
  meta: Record<string, unknown> | null,
) {
  if (broadcast.encoding === 'binary') return null;
  const body = broadcast.body.toString('utf8');
  // the one place where a body is parsed: spliced unchecked into a JSON frame it could break the receiver
  if (!isJson(body)) return null;
  const metaPart = meta ? `,"meta":${JSON.stringify(meta)}` : '';
  const payload = `{"type":"broadcast","event":${JSON.stringify(broadcast.event)},"payload":${body}${metaPart}}`;
  return encodeMessage('1.0.0', { joinRef: null, ref: null, topic, event: 'broadcast' }, payload);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
