import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DisconnectReason, LeaveRequest, SignalResponse } from '@livekit/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../../src/kernel/clock.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { type DoorName, type Knock, knock } from '../../../src/probes/seat/doors.ts';
import { RoomWitness } from '../../../src/probes/seat/room-witness.ts';
import { judgeDeparture } from '../../../src/probes/seat/victims.ts';
import { type LiveKitAdmin, liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { signLiveKitToken } from '../../../src/target/livekit/mint.ts';
import { enterRoom, type SignalDoor } from '../../../src/target/livekit/signal-participant.ts';
import { startTestLiveKit, type TestLiveKit } from './livekit-server.ts';

let server: TestLiveKit;
let admin: LiveKitAdmin;

beforeAll(async () => {
  server = await startTestLiveKit();
  admin = liveKitAdmin(server.livekit);
});
afterAll(() => server[Symbol.asyncDispose]());

function tokenFor(room: string, sub: string, life = { nbf: 0, exp: 60 }): Promise<string> {
  const nowS = Math.floor(Date.now() / 1000);
  const video = { roomJoin: true, room, canPublish: true, canSubscribe: true, canPublishData: true };
  const claims = { iss: server.livekit.apiKey, sub, nbf: nowS + life.nbf, exp: nowS + life.exp, video };
  return signLiveKitToken(claims, server.livekit.apiSecret);
}

function enter(token: string, door: SignalDoor = { path: '/rtc' }) {
  return enterRoom({ url: server.livekit.url, token, door, clock: systemClock });
}

async function join(token: string, door?: SignalDoor) {
  const outcome = await enter(token, door);
  if (outcome.kind !== 'joined') throw new Error(`${outcome.kind}: ${JSON.stringify(outcome)}`);
  return outcome.participant;
}

/** Joins, is removed, and gives everything it could use to come back. */
async function removed(room: string, userId: string) {
  const token = await tokenFor(room, userId);
  const participant = await join(token);
  const witness = await admin.occupants(room);
  expect(witness).toMatchObject([{ identity: userId, sid: participant.sid, state: 'JOINED' }]);
  expect(await admin.remove(room, userId)).toBe('removed');
  expect(judgeDeparture(await participant.left)).toMatchObject({ ejected: true });
  const refreshed = participant.refreshToken();
  if (refreshed === null) throw new Error('no refresh token came');
  return { userId, token, refreshed, sid: participant.sid };
}

describe('a signal-only participant', () => {
  it('joins over /rtc and /rtc/v1, holds a refresh token, and is listed', async () => {
    for (const path of ['/rtc', '/rtc/v1'] as const) {
      const participant = await join(await tokenFor('both', `ada-${path.length}`), { path });
      expect(participant).toMatchObject({
        identity: `ada-${path.length}`,
        serverVersion: '1.11.0',
        canPublish: true,
      });
      await participant.close();
    }
  });

  it('is told by a newer session of the same identity, which is no ejection', async () => {
    const token = await tokenFor('dup', 'ada');
    const first = await join(token);
    const second = await join(token);
    const departure = await first.left;
    expect(departure).toMatchObject({ kind: 'leave', reason: 'DUPLICATE_IDENTITY' });
    expect(judgeDeparture(departure).ejected).toBe(false);
    await second.close();
  });

  it('is told when the room is deleted, which is one', async () => {
    const participant = await join(await tokenFor('gone', 'ada'));
    expect(await admin.deleteRoom('gone')).toBe('deleted');
    expect(judgeDeparture(await participant.left).ejected).toBe(true);
  });

  it.each([
    ['expired', { nbf: -200, exp: -100 }, 'expired'],
    ['not valid yet', { nbf: 200, exp: 300 }, 'not valid yet'],
  ])('is refused with a token that is %s, in words and without the token', async (_what, life, words) => {
    const outcome = await enter(await tokenFor('r', 'ada', life));
    expect(outcome).toMatchObject({ kind: 'refused', status: 401 });
    expect(JSON.stringify(outcome)).toContain(words);
    expect(JSON.stringify(outcome)).not.toContain('eyJ');
  });

  it('is let in 30 s after its expiry: the leeway', async () => {
    const participant = await join(await tokenFor('late', 'ada', { nbf: -60, exp: -30 }));
    await participant.close();
  });

  it('gets an outcome, not an exception, when nobody is there', async () => {
    const outcome = await enterRoom({
      url: 'ws://127.0.0.1:1',
      token: 'x',
      door: { path: '/rtc' },
      clock: systemClock,
    });
    expect(outcome).toMatchObject({ kind: 'unreachable' });
  });
});

describe('the admin client', () => {
  it('takes absence for an answer and a wrong secret for an error without the token in it', async () => {
    expect(await admin.remove('nowhere', 'nobody')).toBe('absent');
    expect(await admin.occupants('nowhere')).toEqual([]);
    expect(await admin.deleteRoom('nowhere')).toBe('absent');
    const wrong = liveKitAdmin({ ...server.livekit, apiSecret: new Secret('x'.repeat(40)) });
    const error = await wrong.occupants('nowhere').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'TF-LK-002', failure: { kind: 'unauthorized', status: 401 } });
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('eyJ');
  });
});

// livekit.md §2, against the same server: what a removal leaves open
describe('after a removal', () => {
  it.each<[DoorName, Knock['kind'], string[]]>([
    ['rtc', 'in', ['ada']],
    ['rtc-v1', 'in', ['ada']],
    ['rtc-publish-alias', 'in', ['ada#back']],
    ['rtc-resume', 'refused', []],
    ['rtc-validate', 'yes', []],
    ['rtc-v1-validate', 'yes', []],
    ['whip', 'in', ['ada']],
  ])('%s says "%s", to the original and to the refreshed token', async (door, kind, inside) => {
    const room = `after-${door}`;
    const witness = new RoomWitness(admin, room);
    const { userId, token, refreshed, sid } = await removed(room, 'ada');
    for (const key of [token, refreshed]) {
      const answer = await knock(door, { userId, token: key, sid }, server.livekit.url, systemClock);
      expect(answer.kind).toBe(kind);
      expect(await witness.offending(userId, false)).toEqual(inside);
      // whoever gets in by signal takes another ten minutes away
      if (answer.kind === 'in') expect(answer.refreshTokenHarvested).toBe(door !== 'whip');
      await witness.clear(userId);
    }
    expect(await admin.occupants(room)).toEqual([]);
  });

  it('an alias stays in the room when its user is removed', async () => {
    const token = await tokenFor('alias', 'ada');
    const [own, alias] = [await join(token), await join(token, { path: '/rtc', publishAlias: 'x' })];
    await admin.remove('alias', 'ada');
    expect(judgeDeparture(await own.left).ejected).toBe(true);
    expect((await admin.occupants('alias')).map(({ identity }) => identity)).toEqual(['ada#x']);
    await alias.close();
  });

  it('the resume door is a door: it opens while the session is there', async () => {
    const token = await tokenFor('resume', 'ada');
    const participant = await join(token);
    const key = { userId: 'ada', token, sid: participant.sid };
    const answer = await knock('rtc-resume', key, server.livekit.url, systemClock);
    expect(answer).toMatchObject({ kind: 'in', said: 'resumed' });
    expect(await new RoomWitness(admin, 'resume').offending('ada', false)).toEqual(['ada']);
    await participant.close();
  });
});

describe('a door that does not decide', () => {
  const answer = (message: SignalResponse) => (socket: WebSocket) => socket.send(message.toBinary());
  const leave = (reason: DisconnectReason) =>
    new SignalResponse({ message: { case: 'leave', value: new LeaveRequest({ reason }) } });

  it.each<[string, (socket: WebSocket) => void, Knock['kind'], string]>([
    ['the server’s own timeout', answer(leave(DisconnectReason.JOIN_FAILURE)), 'silent', 'JOIN_FAILURE'],
    ['a connection that breaks', (socket) => socket.terminate(), 'silent', 'closed with 1006'],
    ['something that is no LiveKit', (socket) => socket.send('hello'), 'silent', 'not a signal message'],
    ['a removal in place of a join', answer(leave(DisconnectReason.STATE_MISMATCH)), 'refused', 'STATE'],
  ])('%s: %s', async (_what, behave, kind, said) => {
    const fake = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    fake.on('connection', behave);
    await once(fake, 'listening');
    const { port } = fake.address() as AddressInfo; // listening on TCP
    const key = { userId: 'ada', token: 'x', sid: '' };
    const heard = await knock('rtc', key, `ws://127.0.0.1:${port}`, systemClock);
    expect(heard).toMatchObject({ kind, said: expect.stringContaining(said) });
    fake.close();
  });

  it.each([500, 503, 429])('an answer of %i is no refusal', async (status) => {
    const fake = createServer((_request, response) => response.writeHead(status).end('busy'));
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    const { port } = fake.address() as AddressInfo; // listening on TCP
    for (const door of ['rtc', 'rtc-validate', 'whip'] as const) {
      const key = { userId: 'ada', token: 'x', sid: '' };
      expect((await knock(door, key, `ws://127.0.0.1:${port}`, systemClock)).kind).toBe('silent');
    }
    fake.closeAllConnections();
    fake.close();
  });
});
