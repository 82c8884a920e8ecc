import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeBroadcast,
  decodeBroadcastPush,
  decodeText,
  encodeBroadcastDelivery,
  encodeBroadcastPush,
  encodeText,
} from '../../../../src/target/supabase/realtime-frames.ts';
import { classifyRefusal } from '../../../../src/target/supabase/realtime-refusals.ts';

const short = fc.string({ maxLength: 40, unit: 'grapheme' }).filter((text) => Buffer.byteLength(text) <= 255);
const body = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));

test('what is pushed and delivered comes back, whatever letters it has', () => {
  fc.assert(
    fc.property(short, short, short, short, body, (joinRef, ref, topic, event, content) => {
      const push = { joinRef, ref, topic, event };
      expect(decodeBroadcastPush(encodeBroadcastPush(push, content))).toEqual({ ...push, body: content });
      expect(decodeBroadcast(encodeBroadcastDelivery(topic, event, content))).toEqual({
        topic,
        event,
        body: content,
      });
    }),
  );
});

test('the layout is that of serializer 2.0.0', () => {
  const frame = encodeBroadcastPush({ joinRef: 'j1', ref: '7', topic: 't', event: 'ev' }, Buffer.from('{}'));
  expect([...frame.subarray(0, 7)]).toEqual([3, 2, 1, 1, 2, 0, 1]);
  expect(frame.toString('utf8', 7)).toBe('j17tev{}');
});

test('frames that are cut short or of another kind are refused, not misread', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const frame = Buffer.from(bytes);
      const delivery = decodeBroadcast(frame);
      if (frame[0] !== 4) expect(delivery).toBeUndefined();
      if (frame[0] !== 3) expect(decodeBroadcastPush(frame)).toBeUndefined();
    }),
  );
  const whole = encodeBroadcastDelivery('topic', 'event', Buffer.alloc(0));
  expect(decodeBroadcast(whole.subarray(0, whole.length - 1))).toBeUndefined();
  expect(() =>
    encodeBroadcastPush({ joinRef: '', ref: '', topic: 'x'.repeat(256), event: '' }, Buffer.alloc(0)),
  ).toThrow(RangeError);
});

test('text frames', () => {
  const frame = { joinRef: null, ref: 'h1', topic: 'phoenix', event: 'heartbeat', payload: {} };
  expect(encodeText(frame)).toBe('[null,"h1","phoenix","heartbeat",{}]');
  expect(decodeText(encodeText(frame))).toEqual(frame);
  expect(decodeText('{"topic":"x"}')).toBeUndefined();
  expect(decodeText('[1,2,3,4,5]')).toBeUndefined();
  expect(decodeText('[')).toBeUndefined();
});

// the texts on the wire (supabase.md §2)
test.each([
  ['Too many messages per second', 'rate_limit'],
  ['ClientJoinRateLimitReached: Too many joins per second', 'rate_limit'],
  ['ConnectionRateLimitReached: Too many connected users', 'rate_limit'],
  ['ChannelRateLimitReached: Too many channels', 'rate_limit'],
  ['{"error":"Too many connected users"}', 'rate_limit'],
  ['Unauthorized: You do not have permissions to read from this Channel topic: chat', 'authorization'],
  ['InvalidJWTToken: expired', 'authorization'],
  ['payload_size_exceeded', 'payload_size'],
  ['closed 1006', 'other'],
])('%s is %s', (text, kind) => {
  expect(classifyRefusal(text)).toBe(kind);
});
