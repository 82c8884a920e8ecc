/**
 * Frames of the Realtime protocol, serializer 2.0.0 (supabase/realtime, August 2026).
 * Text: `[join_ref, ref, topic, event, payload]`. Binary kinds used by clients: 3 (broadcast push) and
 * 4 (broadcast delivery); lengths are single bytes, bodies are opaque.
 */
const kindPush = 3;
const kindDelivery = 4;
const encodingJson = 1;
const longestField = 255;

export interface TextFrame {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  readonly payload: Record<string, unknown>;
}

export function encodeText(frame: TextFrame): string {
  return JSON.stringify([frame.joinRef, frame.ref, frame.topic, frame.event, frame.payload]);
}

/** @returns undefined when it is not a frame of serializer 2.0.0 */
export function decodeText(text: string): TextFrame | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed) || parsed.length !== 5) return undefined;
  const [joinRef, ref, topic, event, payload] = parsed;
  if (typeof topic !== 'string' || typeof event !== 'string') return undefined;
  return {
    joinRef: typeof joinRef === 'string' ? joinRef : null,
    ref: typeof ref === 'string' ? ref : null,
    topic,
    event,
    payload: isObject(payload) ? payload : {},
  };
}

/** `3,|jr|,|ref|,|topic|,|event|,|meta|,enc` and the five texts, then the JSON body. */
export function encodeBroadcastPush(
  push: { joinRef: string; ref: string; topic: string; event: string },
  body: Buffer,
): Buffer {
  const head = Buffer.from(`${push.joinRef}${push.ref}${push.topic}${push.event}`, 'utf8');
  const lengths = [push.joinRef, push.ref, push.topic, push.event].map((text) => Buffer.byteLength(text));
  if (lengths.some((length) => length > longestField)) {
    throw new RangeError(`topic and event may take ${longestField} bytes at most`);
  }
  return Buffer.concat([Buffer.from([kindPush, ...lengths, 0, encodingJson]), head, body]);
}

export interface BroadcastDelivery {
  readonly topic: string;
  readonly event: string;
  /** A view into the frame: read it before the next one arrives, or copy it. */
  readonly body: Buffer;
}

/** `4,|topic|,|event|,|meta|,enc` and the texts, then the body. @returns undefined when it is another kind or cut short */
export function decodeBroadcast(frame: Buffer): BroadcastDelivery | undefined {
  if (frame.length < 5 || frame[0] !== kindDelivery) return undefined;
  const topicEnd = 5 + frame[1]!;
  const eventEnd = topicEnd + frame[2]!;
  const metaEnd = eventEnd + frame[3]!;
  if (metaEnd > frame.length) return undefined;
  return {
    topic: frame.toString('utf8', 5, topicEnd),
    event: frame.toString('utf8', topicEnd, eventEnd),
    body: frame.subarray(metaEnd),
  };
}

/** For servers and tests: the delivery frame a client of serializer 2.0.0 receives. */
export function encodeBroadcastDelivery(topic: string, event: string, body: Buffer): Buffer {
  const lengths = [Buffer.byteLength(topic), Buffer.byteLength(event)];
  return Buffer.concat([
    Buffer.from([kindDelivery, ...lengths, 0, encodingJson]),
    Buffer.from(`${topic}${event}`, 'utf8'),
    body,
  ]);
}

/** For servers and tests: what a client pushed. */
export function decodeBroadcastPush(
  frame: Buffer,
): { joinRef: string; ref: string; topic: string; event: string; body: Buffer } | undefined {
  if (frame.length < 7 || frame[0] !== kindPush) return undefined;
  const ends: number[] = [];
  for (let i = 1; i <= 5; i++) ends.push((ends.at(-1) ?? 7) + frame[i]!);
  const [joinRefEnd = 0, refEnd = 0, topicEnd = 0, eventEnd = 0, metaEnd = 0] = ends;
  if (metaEnd > frame.length) return undefined;
  return {
    joinRef: frame.toString('utf8', 7, joinRefEnd),
    ref: frame.toString('utf8', joinRefEnd, refEnd),
    topic: frame.toString('utf8', refEnd, topicEnd),
    event: frame.toString('utf8', topicEnd, eventEnd),
    body: frame.subarray(metaEnd),
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
