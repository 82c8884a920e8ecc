import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sleep } from '../../../../src/kernel/clock.ts';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import type { QuotaProfile } from '../../../../src/local/gateway/context.ts';
import { startTestPostgres, type TestPostgres } from '../../harness/postgres.ts';
import { RawSocket } from './raw-socket.ts';
import {
  jwtSecret,
  mintJwt,
  type RealtimeServer,
  secretKey,
  startRealtimeServer,
} from './realtime-server.ts';

let postgres: TestPostgres;
let open: RealtimeServer;
let sockets: RawSocket[] = [];
const servers: RealtimeServer[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  open = await startRealtimeServer(postgres.adminUrl);
});

afterEach(async () => {
  for (const socket of sockets) socket.close();
  sockets = [];
  for (const server of servers.splice(0)) await server.stop();
});

afterAll(async () => {
  await open?.stop();
  await postgres?.stop();
});

async function socketOf(server: RealtimeServer): Promise<RawSocket> {
  const socket = await RawSocket.open(server.wsUrl, server.anonKey);
  sockets.push(socket);
  return socket;
}

const plenty: QuotaProfile = {
  name: 'test',
  connections: 1_000,
  messagesPerS: 1_000,
  joinsPerS: 1_000,
  channelsPerConnection: 1_000,
  presencePerS: 1_000,
  presenceCallsPerClient30S: 1_000,
  presenceKeysPerObject: 10,
  broadcastPayloadKb: 3_000,
};

async function limited(limits: Partial<QuotaProfile>): Promise<RealtimeServer> {
  const server = await startRealtimeServer(postgres.adminUrl, { quota: { ...plenty, ...limits } });
  servers.push(server);
  return server;
}

const say = (n: number) => ({ type: 'broadcast', event: 'e', payload: { n } });
const firstTickMs = 5_000;

describe('quota', () => {
  test('messages: a receiving channel gets the message that is too many, then is shut; the sender stays', async () => {
    // 2 messages/s: after the first tick 20 in the window are reached
    const server = await limited({ messagesPerS: 2 });
    const [sender, receiver] = [await socketOf(server), await socketOf(server)];
    for (const socket of [sender, receiver]) await socket.join('room');
    for (let n = 0; n < 12; n++) sender.send('realtime:room', 'broadcast', say(n)); // 12 sent + 12 delivered
    await receiver.wait(
      (m) => m.event === 'broadcast' && (m.payload.payload as { n: number }).n === 11,
      'all 12',
    );
    expect(receiver.systems('room')).toEqual([]);
    await sleep(firstTickMs + 200);
    sender.send('realtime:room', 'broadcast', say(12));
    const closed = await receiver.wait((m) => m.event === 'phx_close', 'the end of the channel');
    expect(closed.ref).toBe(closed.joinRef);
    expect(receiver.systems('room')).toEqual(['error: Too many messages per second']);
    expect(receiver.messages.filter((m) => m.event === 'broadcast').length).toBe(13);
    expect([sender.closeCode, receiver.closeCode, sender.systems('room')]).toEqual([null, null, []]);
    const rest = await fetch(`${server.url}/realtime/v1/api/broadcast`, {
      method: 'POST',
      headers: { apikey: server.anonKey, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ topic: 'room', event: 'e', payload: {} }] }),
    });
    expect([rest.status, await rest.json()]).toEqual([429, { message: 'You have exceeded your rate limit' }]);
    expect(server.realtime.stats().quotaRefusals.messages).toBeGreaterThan(0);
  });

  test('REST refuses a batch above the limit outright', async () => {
    const server = await limited({ messagesPerS: 2 });
    const messages = [1, 2, 3].map((n) => ({ topic: 'room', event: 'e', payload: { n } }));
    const response = await fetch(`${server.url}/realtime/v1/api/broadcast`, {
      method: 'POST',
      headers: { apikey: secretKey, 'content-type': 'application/json' },
      body: JSON.stringify({ messages }),
    });
    expect(response.status).toBe(429);
    expect(await response.json()).toEqual({
      message: 'Too many messages to broadcast, please reduce the batch size',
    });
  });

  test('joins: refused with the reason, and the socket goes; connects get 429', async () => {
    const server = await limited({ joinsPerS: 1 });
    const socket = await socketOf(server);
    for (let n = 0; n < 12; n++) expect((await socket.join(`t${n}`)).status).toBe('ok');
    await sleep(firstTickMs + 200);
    expect(await socket.join('one more')).toMatchObject({
      status: 'error',
      response: { reason: 'ClientJoinRateLimitReached: Too many joins per second' },
    });
    expect(await socket.waitClosed()).toBe(1000);
    await expect(socketOf(server)).rejects.toThrow('429 {"error":"Too many joins per second"}');
  });

  test('connections count from their first join', async () => {
    const server = await limited({ connections: 1 });
    const [one, two] = [await socketOf(server), await socketOf(server)];
    expect((await one.join('a')).status).toBe('ok');
    expect(await two.join('a')).toMatchObject({
      response: { reason: 'ConnectionRateLimitReached: Too many connected users' },
    });
    expect((await one.join('b')).status).toBe('ok');
    await expect(socketOf(server)).rejects.toThrow('429 {"error":"Too many connected users"}');
  });

  test('channels per connection, payload, presence', async () => {
    const server = await limited({
      channelsPerConnection: 2,
      broadcastPayloadKb: 1,
      presenceCallsPerClient30S: 1,
    });
    const socket = await socketOf(server);
    await socket.join('a', { broadcast: { ack: true } });
    await socket.join('b');
    expect(await socket.join('c')).toMatchObject({
      response: { reason: 'ChannelRateLimitReached: Too many channels' },
    });
    const large = { ...say(1), payload: { text: 'x'.repeat(2_000) } };
    const refused = await socket.call('realtime:a', 'broadcast', large);
    expect(refused.payload).toEqual({ status: 'error', response: 'payload_size_exceeded' });
    const track = { type: 'presence', event: 'track', payload: { n: 1 } };
    expect((await socket.call('realtime:b', 'presence', track)).payload.status).toBe('ok');
    socket.send('realtime:b', 'presence', { ...track, payload: { n: 2 } });
    await socket.wait((m) => m.event === 'phx_close' && m.topic === 'realtime:b', 'the end of b');
    expect(socket.systems('b')).toEqual(['error: Client presence rate limit exceeded']);
  });
});

describe('keys and tokens at connect and join', () => {
  const unsigned = (claims: object) =>
    [{ alg: 'none', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');

  test.each<[string, () => Promise<string | null>, string]>([
    ['no key', async () => null, '401 {"error":"API key is missing"}'],
    ['no JWT', async () => 'nonsense', '401 {"error":"The token provided is not a valid JWT"}'],
    [
      'an unknown new key',
      async () => 'sb_secret_wrong',
      '401 {"error":"The token provided is not a valid JWT"}',
    ],
    ['an expired key', () => mintJwt({ role: 'anon' }, -60), '401 {"error":"Token has expired"}'],
    ['no role', () => mintJwt({}), '401 {"error":"Fields `role` and `exp` are required in JWT"}'],
    [
      'alg none',
      async () => `${unsigned({ role: 'service_role', exp: 4e9 })}.`,
      '401 {"error":"Failed to validate JWT signature"}',
    ],
    [
      'a foreign signature',
      async () => {
        const head = unsigned({ role: 'service_role', exp: 4e9 }).replace(
          /^[^.]+/,
          Buffer.from('{"alg":"HS256"}').toString('base64url'),
        );
        return `${head}.${createHmac('sha256', `${jwtSecret}!`).update(head).digest('base64url')}`;
      },
      '401 {"error":"Failed to validate JWT signature"}',
    ],
  ])('%s is refused', async (_what, key, answer) => {
    await expect(RawSocket.open(open.wsUrl, await key())).rejects.toThrow(answer);
  });

  test('an expired access token refuses the join; one that expires later ends the channel, not the socket', async () => {
    const socket = await socketOf(open);
    const expired = await socket.join('a', {}, await mintJwt({ role: 'authenticated' }, -30));
    expect((expired.response as { reason: string }).reason).toMatch(
      /^InvalidJWTToken: Token has expired \d+ seconds ago$/,
    );
    expect((await socket.join('b', {}, await mintJwt({ role: 'authenticated' }, 2))).status).toBe('ok');
    await socket.wait((m) => m.event === 'phx_close', 'the end of the channel');
    expect(socket.systems('b')[0]).toMatch(/^error: Token has expired \d+ seconds ago$/);
    expect((await socket.call('phoenix', 'heartbeat', {})).payload.status).toBe('ok');
  });
});

describe('hostile input', () => {
  test.each<[string, string | Buffer, number]>([
    ['bad JSON', '{"a":', 1011],
    ['JSON that is no message', '[1,2]', 1011],
    ['an unknown binary kind', Buffer.from([9, 0, 0]), 1011],
    ['a binary frame that lies about its lengths', Buffer.from([3, 255, 255, 255, 255, 255, 0, 1]), 1011],
    [
      'a topic of 100 kB',
      JSON.stringify(['1', '1', `realtime:${'x'.repeat(100_000)}`, 'phx_join', {}]),
      1011,
    ],
    ['a frame above 5 MB', Buffer.alloc(5_000_001), 1009],
  ])('%s closes that socket only', async (_what, frame, code) => {
    const [bad, good] = [await socketOf(open), await socketOf(open)];
    bad.ws.send(frame);
    expect(await bad.waitClosed()).toBe(code);
    expect((await good.join('still here')).status).toBe('ok');
  });

  test('what is no message for a channel gets its error', async () => {
    const socket = await socketOf(open);
    expect(await socket.join('')).toMatchObject({
      response: { reason: 'TopicNameRequired: You must provide a topic name' },
    });
    expect((await socket.call('other:x', 'phx_join', {})).payload).toMatchObject({
      response: { reason: 'unmatched topic' },
    });
    expect((await socket.call('realtime:x', 'broadcast', {})).payload).toMatchObject({
      response: { reason: 'unmatched topic' },
    });
    await socket.join('x');
    socket.send('realtime:x', 'broadcast', 'text');
    expect((await socket.wait((m) => m.event === 'phx_error', 'the crash')).topic).toBe('realtime:x');
    expect((await socket.join('x')).status).toBe('ok');
  });

  test('a presence key named __proto__ is a key like any other', async () => {
    const socket = await socketOf(open);
    await socket.join('p', { presence: { key: '__proto__', enabled: true } });
    await socket.call('realtime:p', 'presence', { event: 'track', payload: { a: 1 } });
    const diff = await socket.wait((m) => m.event === 'presence_diff', 'the diff');
    expect(Object.keys(diff.payload.joins as object)).toEqual(['__proto__']);
  });

  test('a thousand channels on one socket', async () => {
    const [socket, other] = [await socketOf(open), await socketOf(open)];
    for (let n = 0; n < 1_000; n++) socket.send(`realtime:many:${n}`, 'phx_join', {});
    await pollUntil(
      () => socket.messages.filter((m) => m.event === 'phx_reply').length === 1_000 || undefined,
      {
        ms: 10_000,
        everyMs: 10,
        what: 'all joins',
      },
    );
    await other.join('many:999');
    other.send('realtime:many:999', 'broadcast', say(1));
    await socket.wait((m) => m.event === 'broadcast', 'the broadcast');
    socket.close();
    await pollUntil(() => open.realtime.stats().topics < 100 || undefined, {
      ms: 5_000,
      everyMs: 10,
      what: 'cleanup',
    });
  });

  test('a client that goes while it joins leaves nothing behind', async () => {
    const settled = () =>
      pollUntil(() => open.realtime.stats().connections === 0 || undefined, {
        ms: 5_000,
        everyMs: 10,
        what: 'no connection left',
      });
    await settled();
    const token = await mintJwt({ role: 'authenticated', sub: 'x' });
    for (let n = 0; n < 20; n++) {
      const socket = await RawSocket.open(open.wsUrl, open.anonKey);
      socket.send('realtime:private', 'phx_join', { config: { private: true }, access_token: token });
      socket.close();
    }
    await settled();
    await sleep(300); // a policy check that was under way comes back to a socket that is gone
    expect(open.realtime.stats()).toMatchObject({ channels: 0, topics: 0 });
  });

  test('an upgrade that is cut in the middle, and one with no path', async () => {
    const { port } = new URL(open.url);
    const cut = connect(Number(port), '127.0.0.1');
    cut.write(
      'GET /realtime/v1/websocket?apikey=x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    cut.destroy();
    await expect(RawSocket.open(open.wsUrl.replace('websocket', 'nowhere'), open.anonKey)).rejects.toThrow(
      '404',
    );
    expect((await (await socketOf(open)).join('alive')).status).toBe('ok');
  });

  test('REST: bad JSON, a body that is too large, a foreign method', async () => {
    const url = `${open.url}/realtime/v1/api/broadcast`;
    const post = (body: string) => fetch(url, { method: 'POST', headers: { apikey: open.anonKey }, body });
    const statuses = [
      (await post('{')).status,
      (await post('{"messages":[{"topic":"x"}]}')).status,
      (await post('x'.repeat(5_100_000))).status,
      (await fetch(url)).status,
      (await fetch(url, { method: 'POST', body: '{}' })).status,
    ];
    expect(statuses).toEqual([400, 422, 413, 405, 401]);
  });
});

test('a reader that stops reading is cut and counted; the others lose nothing', async () => {
  const [slow, fast, sender] = [await socketOf(open), await socketOf(open), await socketOf(open)];
  for (const socket of [slow, fast, sender]) await socket.join('flood');
  slow.ws.pause();
  const cutBefore = open.realtime.stats().slowReadersCut;
  const payload = { type: 'broadcast', event: 'e', payload: { text: 'x'.repeat(100_000) } };
  let sent = 0;
  while (open.realtime.stats().slowReadersCut === cutBefore && sent < 400) {
    sender.send('realtime:flood', 'broadcast', payload);
    sent++;
    await fast.wait(
      () => fast.messages.filter((m) => m.event === 'broadcast').length === sent,
      'each message',
    );
  }
  expect(open.realtime.stats().slowReadersCut).toBe(cutBefore + 1);
  slow.ws.resume();
  expect(await slow.waitClosed()).toBe(1006);
  expect([fast.closeCode, sender.closeCode]).toEqual([null, null]);
});
