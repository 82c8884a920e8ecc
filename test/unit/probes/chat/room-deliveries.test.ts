import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chatId, chatPayload, messageOfBody, messageOfId } from '../../../../src/probes/chat/chat-body.ts';
import { RoomDeliveries, windowFor } from '../../../../src/probes/chat/room-deliveries.ts';

function room(receivers: number, window = 64, officials = 0) {
  return new RoomDeliveries({
    receivers,
    senders: receivers,
    window,
    isOfficial: (receiver) => receiver < officials,
  });
}

/** What happens to one message at one receiver. */
const fate = fc.constantFrom('once', 'once', 'once', 'never', 'twice');

test('whatever is lost, doubled or in doubt is counted exactly, in windows of any size', () => {
  const message = fc.record({
    sender: fc.integer({ min: 0, max: 4 }),
    answer: fc.constantFrom('accepted', 'accepted', 'refused', 'none'),
    fates: fc.array(fate, { minLength: 5, maxLength: 5 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 120 }), fc.constantFrom(8, 64, 1024), (messages, window) => {
      const deliveries = room(5, window);
      const expected = { delivered: 0, lost: 0, duplicated: 0, unknown: 0, unexpected: 0 };
      messages.forEach(({ sender, answer, fates }, number) => {
        deliveries.open(number, sender, sender);
        if (answer === 'accepted') deliveries.accept(number);
        if (answer === 'refused') deliveries.refuse(number);
        fates.forEach((what, receiver) => {
          const times = what === 'twice' ? 2 : what === 'once' ? 1 : 0;
          for (let i = 0; i < times; i++) deliveries.deliver(number, receiver);
          if (receiver === sender || answer === 'refused') expected.unexpected += times;
          else if (times > 0) {
            expected.delivered++;
            expected.duplicated += times - 1;
          } else if (answer === 'accepted') expected.lost++;
          else expected.unknown++;
        });
      });
      deliveries.finish();
      expect(deliveries.counts).toEqual({ ...expected, reordered: 0 });
      expect(deliveries.lostBy.reduce((sum, lost) => sum + lost, 0)).toBe(expected.lost);
    }),
    { numRuns: 80 },
  );
});

test('order is judged per sender and receiver; other senders may overtake', () => {
  const deliveries = room(3);
  for (const [message, sender] of [0, 1, 0, 1, 0].entries()) {
    deliveries.open(message, sender, sender);
    deliveries.accept(message);
  }
  // receiver 2: sender 1's message 1 before sender 0's message 0 is fine; 4 before 2 of sender 0 is not
  for (const message of [1, 0, 4, 2, 3]) deliveries.deliver(message, 2);
  expect(deliveries.counts.reordered).toBe(1);
  // a duplicate that comes late is a duplicate, no disorder
  deliveries.deliver(0, 2);
  expect(deliveries.counts).toMatchObject({ reordered: 1, duplicated: 1 });
});

test('what a receiver lacks after the server cut it off is unknown, and later messages are not meant for it', () => {
  const deliveries = room(3);
  deliveries.open(0, 0, 0);
  deliveries.accept(0);
  deliveries.deliver(0, 1);
  deliveries.cut(2);
  expect(deliveries.open(1, 0, 0)).toBe(1);
  deliveries.accept(1);
  deliveries.finish();
  expect(deliveries.counts).toMatchObject({ delivered: 1, unknown: 1, lost: 1 });
});

test('the two kinds of client disagree on a message when only one of them got it in full', () => {
  const deliveries = room(4, 64, 2);
  for (const message of [0, 1, 2]) {
    deliveries.open(message, 3, 3);
    deliveries.accept(message);
  }
  for (const receiver of [0, 1, 2]) deliveries.deliver(0, receiver);
  for (const receiver of [0, 2]) deliveries.deliver(1, receiver);
  // message 2 is lost for everybody: they agree
  deliveries.finish();
  expect(deliveries.disagreements).toBe(1);
  expect(deliveries.official).toEqual({ delivered: 3, lost: 3 });
});

test('foreign numbers are unexpected and change nothing', () => {
  const deliveries = room(2);
  for (const message of [-1, 5, 1e12, Number.NaN]) expect(deliveries.deliver(message, 1)).toBe('unexpected');
  expect(deliveries.counts.delivered).toBe(0);
});

test('the window covers twice the timeout and is a power of two', () => {
  expect(windowFor(10, 5000)).toBe(1024);
  expect(windowFor(5000, 5000)).toBe(65_536);
  expect(Math.log2(windowFor(1e9, 60_000))).toBe(20);
});

describe('bodies', () => {
  const body = (message: number) => Buffer.from(JSON.stringify(chatPayload('0a1b2c3d', 7, message, 'ann')));

  test('the number is read at its place, and only of this run and room', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9_999_999_999 }), (message) => {
        expect(messageOfBody(body(message), '0a1b2c3d', 7)).toBe(message);
        expect(messageOfId(chatId('0a1b2c3d', 7, message), '0a1b2c3d', 7)).toBe(message);
        expect(messageOfBody(body(message), '0a1b2c3d', 8)).toBe(-1);
        expect(messageOfBody(body(message), 'ffffffff', 7)).toBe(-1);
      }),
    );
  });

  test('anything else is nobody', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.anything(), (bytes, id) => {
        expect(messageOfBody(Buffer.from(bytes), '0a1b2c3d', 7)).toBe(-1);
        expect(messageOfId(id, '0a1b2c3d', 7)).toBe(-1);
      }),
    );
    expect(messageOfId('0a1b2c3d-0007-00000x0001', '0a1b2c3d', 7)).toBe(-1);
  });
});
