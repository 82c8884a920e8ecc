import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  BadFrame,
  decodeBinary,
  decodeText,
  encodeMessage,
  encodeUserBroadcast,
  UserBroadcast,
  type Vsn,
} from '../../../../src/local/gateway/realtime/serializer.ts';
import { frameOf } from '../../../../src/local/gateway/realtime/wire-frame.ts';

// the serializer of the official client, so that both ends are not written by the same hand
const officialPath = '@supabase/realtime-js/dist/main/lib/serializer.js';
const { default: Official } = createRequire(import.meta.url)(officialPath) as {
  default: new () => {
    encode(message: unknown, callback: (result: unknown) => void): void;
    decode(raw: unknown, callback: (result: unknown) => void): void;
  };
};
const official = new Official();

function encodeOfficially(message: unknown): unknown {
  let encoded: unknown;
  official.encode(message, (result) => {
    encoded = result;
  });
  return encoded;
}

function decodeOfficially(raw: unknown): unknown {
  let decoded: unknown;
  official.decode(raw, (result) => {
    decoded = result;
  });
  return decoded;
}

/** The payload of a whole server frame, by RFC 6455. */
function payloadOf(frame: Buffer): Buffer {
  const length = (frame[1] ?? 0) & 0x7f;
  return frame.subarray(length < 126 ? 2 : length === 126 ? 4 : 10);
}

const arrayBufferOf = (bytes: Buffer) => new Uint8Array(bytes).buffer;
const shortText = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((s) => Buffer.byteLength(s) < 255);

test('reads every broadcast the official client writes', () => {
  fc.assert(
    fc.property(shortText, shortText, fc.jsonValue(), (topic, event, value) => {
      const push = {
        join_ref: '1',
        ref: '2',
        topic,
        event: 'broadcast',
        payload: { event, payload: { value } },
      };
      const message = decodeBinary('2.0.0', Buffer.from(encodeOfficially(push) as ArrayBuffer));
      expect(message).toMatchObject({ joinRef: '1', ref: '2', topic, event: 'broadcast' });
      const broadcast = message.payload as UserBroadcast;
      expect([broadcast.event, broadcast.encoding]).toEqual([event, 'json']);
      expect(JSON.parse(broadcast.body.toString())).toEqual(JSON.parse(JSON.stringify({ value })));
    }),
  );
});

test('the official client reads every broadcast that is sent on', () => {
  fc.assert(
    fc.property(shortText, shortText, fc.uint8Array({ maxLength: 70_000 }), (topic, event, bytes) => {
      const broadcast = new UserBroadcast(event, 'binary', Buffer.from(bytes));
      const frame = encodeUserBroadcast('2.0.0', topic, broadcast, { id: 'x' }) as Buffer;
      const decoded = decodeOfficially(arrayBufferOf(payloadOf(frame)));
      expect(decoded).toMatchObject({ topic, event: 'broadcast', payload: { event, meta: { id: 'x' } } });
      const { payload } = (decoded as { payload: { payload: ArrayBuffer } }).payload;
      expect(Buffer.from(payload).equals(Buffer.from(bytes))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('text messages of both serializers come back as they went', () => {
  for (const vsn of ['1.0.0', '2.0.0'] as const) {
    const fields = { joinRef: '3', ref: '9', topic: 'realtime:"ä"', event: 'system' };
    const text = payloadOf(encodeMessage(vsn, fields, '{"a":1}')).toString();
    const message = decodeText(vsn, text);
    // 1.0.0 has no join_ref towards the client
    expect(message).toEqual({ ...fields, joinRef: vsn === '1.0.0' ? null : '3', payload: { a: 1 } });
  }
});

test('a JSON body is spliced for 1.0.0, a binary one skipped, and a body that is no JSON too', () => {
  const encode = (vsn: Vsn, encoding: 'json' | 'binary', body: string) =>
    encodeUserBroadcast(vsn, 'realtime:x', new UserBroadcast('e', encoding, Buffer.from(body)), null);
  const json = encode('1.0.0', 'json', '{"big":12345678901234567890}') as Buffer;
  expect(payloadOf(json).toString()).toContain('"payload":{"big":12345678901234567890}');
  expect(encode('1.0.0', 'binary', 'x')).toBeNull();
  expect(encode('1.0.0', 'json', '1},"event":"forged","x":{"y":1')).toBeNull();
  expect(encode('2.0.0', 'json', '{broken')).not.toBeNull();
});

test('names that do not fit kind 4 are not sent', () => {
  const broadcast = new UserBroadcast('e'.repeat(256), 'json', Buffer.from('{}'));
  expect(encodeUserBroadcast('2.0.0', 'realtime:x', broadcast, null)).toBeNull();
});

test.each([
  ['not JSON', '{'],
  ['an object', '{}'],
  ['too short', '[1,2,3]'],
  ['no text topic', '[null,"1",7,"e",{}]'],
  ['a ref that is an object', '[null,{},"t","e",{}]'],
])('2.0.0 refuses %s', (_what, text) => {
  expect(() => decodeText('2.0.0', text)).toThrow(BadFrame);
});

test('no bytes make the binary decoder do anything but answer or refuse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom<Vsn>('1.0.0', '2.0.0'), (bytes, vsn) => {
      try {
        decodeBinary(vsn, Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(BadFrame);
      }
    }),
  );
});

test.each([0, 125, 126, 65_535, 65_536])('a frame of %i bytes has the right header', (length) => {
  const frame = frameOf(Buffer.alloc(length, 7));
  const short = (frame[1] ?? 0) & 0x7f;
  const told = short < 126 ? short : short === 126 ? frame.readUInt16BE(2) : Number(frame.readBigUInt64BE(2));
  expect([frame[0], told, payloadOf(frame).length]).toEqual([0x82, length, length]);
});
