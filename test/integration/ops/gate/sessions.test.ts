import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type GateFront, startFront, stream, user } from './gate-front.ts';
import { closeOf, rawClient, upgradeRequest } from './raw-client.ts';

/** The handshake of RFC 6455 §1.3 for the key that the raw client sends. */
const accepted =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

/** A session over bare sockets: what the client holds, and what LiveKit's end of it holds. */
async function bareSession(front: GateFront, early = '') {
  const begun = Promise.withResolvers<Socket>();
  front.upstream.upgrade = (_request, socket, head) => {
    socket.write(accepted);
    if (head.length > 0) socket.unshift(head);
    begun.resolve(socket);
  };
  const request = upgradeRequest('/rtc', front.token);
  const client = await rawClient(front.port, request + early, { allowHalfOpen: true });
  const far = await begun.promise;
  await expect.poll(() => client.received()).toContain('\r\n\r\n');
  expect(client.received()).toMatch(/^HTTP\/1\.1 101 /);
  return { client, far };
}

/** Collects what a socket reads. */
function collect(socket: Socket): { text: () => string } {
  let text = '';
  socket.on('data', (chunk: Buffer | string) => {
    text += chunk.toString('latin1');
  });
  return { text: () => text };
}

describe('a session', () => {
  it('is the handshake of LiveKit itself, extensions and all', async () => {
    await using front = await startFront();
    const socket = new WebSocket(`${front.gate.url}/rtc?access_token=${front.token}&sdk=js`, ['livekit']);
    await once(socket, 'open');
    expect(socket.extensions).toContain('permessage-deflate');
    expect(socket.protocol).toBe('livekit');
    expect(front.upstream.seen).toMatchObject([
      {
        target: '/rtc?sdk=js',
        headers: { authorization: `Bearer ${front.token}`, host: `127.0.0.1:${front.upstream.port}` },
      },
    ]);
    socket.send('x'.repeat(100_000));
    const [echoed] = await once(socket, 'message');
    expect(String(echoed)).toBe('x'.repeat(100_000));
    socket.close(4000, 'enough');
    const [code, reason] = await once(socket, 'close');
    expect([code, String(reason)]).toEqual([4000, 'enough']);
    await expect.poll(() => front.gate.stats()).toMatchObject({ admitted: 1, open: 0, pending: 0 });
  });

  it('keeps every frame and their order, both ways, whatever their sizes', async () => {
    await using front = await startFront();
    const socket = new WebSocket(`${front.gate.url}/rtc`, {
      headers: { Authorization: `Bearer ${front.token}` },
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    const frames = Array.from({ length: 1_000 }, (_, i) => {
      const frame = randomBytes(4 + ((i * 7919) % 9_000));
      frame.writeUInt32BE(i);
      return frame;
    });
    const came: Buffer[] = [];
    // the default binary type of `ws` is a Buffer
    socket.on('message', (data) => came.push(data as Buffer));
    for (const frame of frames) socket.send(frame);
    await expect.poll(() => came.length).toBe(frames.length);
    expect(came.every((frame, i) => frame.equals(frames[i] ?? Buffer.alloc(0)))).toBe(true);
    socket.terminate();
  });

  it('passes on what the client sent without waiting for the handshake, first', async () => {
    await using front = await startFront();
    const { client, far } = await bareSession(front, 'early');
    const heard = collect(far);
    client.send(' and late');
    await expect.poll(heard.text).toBe('early and late');
    client.socket.destroy();
  });

  it('is not begun when LiveKit refuses: the client gets its words', async () => {
    await using front = await startFront();
    front.upstream.upgrade = (_request, socket) => {
      socket.end(
        'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\nrequested room does not exist\r\n0\r\n\r\n',
      );
    };
    const { received } = await (await rawClient(front.port, upgradeRequest('/rtc', front.token))).closed;
    expect(received).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    expect(received).toMatch(/\r\n\r\nrequested room does not exist$/);
    expect(front.gate.stats()).toMatchObject({ open: 0, pending: 0 });
  });

  it.each<[string, Record<string, string | null>]>([
    ['to another protocol', { Upgrade: 'h2c' }],
    ['of an old version', { 'Sec-WebSocket-Version': '8' }],
    ['without a key', { 'Sec-WebSocket-Key': null }],
    ['with a key that is none', { 'Sec-WebSocket-Key': 'short' }],
    ['with a body', { 'Content-Length': '5' }],
    ['with a body in chunks', { 'Transfer-Encoding': 'chunked' }],
  ])('is not begun by an upgrade %s', async (_what, changes) => {
    await using front = await startFront();
    const client = await rawClient(front.port, upgradeRequest('/rtc', front.token, changes));
    expect((await client.closed).received).toMatch(/^HTTP\/1\.1 400 /);
    expect(front.upstream.seen).toEqual([]);
  });

  it('is not begun by an upgrade of a path that has none', async () => {
    await using front = await startFront();
    for (const path of ['/rtc/validate', '/whip/v1']) {
      const client = await rawClient(front.port, upgradeRequest(path, front.token));
      expect((await client.closed).received).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect(front.upstream.seen).toEqual([]);
  });
});

describe('the end of a session is carried over as what it was', () => {
  it('one direction ends and the other goes on, from either side', async () => {
    await using front = await startFront();
    const first = await bareSession(front);
    const heard = collect(first.far);
    first.client.socket.end('last words');
    await once(first.far, 'end');
    expect(heard.text()).toBe('last words');
    first.far.end('the answer to them');
    expect((await first.client.closed).received).toMatch(/the answer to them$/);

    const second = await bareSession(front);
    second.far.end('bye');
    await expect.poll(() => second.client.received()).toMatch(/bye$/);
    const after = collect(second.far);
    second.client.socket.end('bye too');
    await expect.poll(after.text).toBe('bye too');
    expect((await second.client.closed).broke).toBe(false);
    await expect.poll(() => front.gate.stats().open).toBe(0);
  });

  it('a direction that is left open alone is closed after its time', async () => {
    await using front = await startFront({ limits: { halfOpenMs: 100 } });
    const { client, far } = await bareSession(front);
    far.resume();
    client.socket.end();
    await client.closed;
    await expect.poll(() => front.gate.stats().open).toBe(0);
  });

  it('a reset is a reset, from either side', async () => {
    await using front = await startFront();
    const first = await bareSession(front);
    first.far.resume();
    const reset = once(first.far, 'error');
    first.client.socket.resetAndDestroy();
    expect(await reset).toMatchObject([{ code: 'ECONNRESET' }]);

    const second = await bareSession(front);
    second.far.resetAndDestroy();
    expect((await second.client.closed).broke).toBe(true);
    await expect.poll(() => front.gate.stats().open).toBe(0);
  });

  it("LiveKit's last words reach a client that is still talking", async () => {
    await using front = await startFront();
    const { client, far } = await bareSession(front);
    // LiveKit writes leave and close and is gone: whatever the client still sends is answered by a reset
    far.end('leave');
    far.once('finish', () => far.destroy());
    const talking = setInterval(() => client.socket.writable && client.send('ping'), 1);
    await expect.poll(() => client.received()).toMatch(/leave$/);
    clearInterval(talking);
    client.socket.end();
    await client.closed;
  });
});

describe('a side that does not read', () => {
  it.each(['client', 'LiveKit'] as const)('holds the other back: %s', async (slow) => {
    await using front = await startFront();
    const { client, far } = await bareSession(front);
    const [reader, writer] = slow === 'client' ? [client.socket, far] : [far, client.socket];
    reader.pause();
    const total = 64 * 1024 * 1024;
    const block = Buffer.alloc(256 * 1024, 'x');
    let written = 0;
    let drained = 0;
    const write = () => {
      while (written < total) {
        written += block.length;
        if (!writer.write(block)) return;
      }
    };
    writer.on('drain', () => {
      drained = written;
      write();
    });
    write();
    // it stands still long before everything is sent: kernel buffers take some megabytes, the gate next to nothing
    let before = -1;
    await expect
      .poll(
        () => {
          const still = before === drained;
          before = drained;
          return still;
        },
        { interval: 300 },
      )
      .toBe(true);
    expect(drained).toBeLessThan(total / 2);
    let read = 0;
    const startsAt = slow === 'client' ? client.received().length : 0;
    reader.on('data', (chunk: Buffer | string) => {
      read += chunk.length;
    });
    reader.resume();
    await expect.poll(() => read + (slow === 'client' ? 0 : startsAt)).toBe(total);
    client.socket.destroy();
  });
});

describe('a ban', () => {
  const ban = { untilMs: null };

  it('that comes while LiveKit thinks about the session ends it before it begins', async () => {
    await using front = await startFront();
    const held = Promise.withResolvers<Socket>();
    front.upstream.upgrade = (_request, socket) => held.resolve(socket);
    const client = await rawClient(front.port, upgradeRequest('/rtc', front.token));
    const far = await held.promise;
    far.on('error', () => {});
    far.resume();
    front.table.change({ ban });
    const gone = closeOf(far);
    far.write(accepted);
    expect((await client.closed).received).toMatch(/^HTTP\/1\.1 403 /);
    await gone;
    expect(front.gate.stats()).toMatchObject({ open: 0, refused: { banned: 1 } });
  });

  it('cuts the sessions that are open, after a moment for LiveKit to say why', async () => {
    const cuts: unknown[] = [];
    await using front = await startFront({ limits: { cutAfterMs: 300 }, onCut: (cut) => cuts.push(cut) });
    const sessions = [await bareSession(front), await bareSession(front)];
    for (const { client, far } of sessions) {
      far.resume();
      client.socket.once('end', () => client.socket.end());
    }
    await expect.poll(() => front.gate.stats().open).toBe(2);
    front.table.change({ ban });
    for (const { far } of sessions) far.write('leave');
    for (const { client } of sessions) {
      expect((await client.closed).received).toMatch(/leave$/);
    }
    expect(cuts).toEqual([{ streamId: stream, userId: user, sessions: 2 }]);
    await expect.poll(() => front.gate.stats()).toMatchObject({ open: 0, cut: 2 });
    expect(front.logged()).toContain(user);
    expect(front.logged()).not.toContain('eyJ');
  });

  it('that is lifted in that moment cuts nobody, nor does one that is over', async () => {
    await using front = await startFront({ limits: { cutAfterMs: 100 } });
    const { client, far } = await bareSession(front);
    front.table.change({ ban });
    front.table.change({ ban: null });
    front.table.change({ ban: { untilMs: Date.now() - 1 } });
    const heard = collect(far);
    await new Promise((resolve) => setTimeout(resolve, 200));
    client.send('still here');
    await expect.poll(heard.text).toBe('still here');
    expect(front.gate.stats()).toMatchObject({ open: 1, cut: 0 });
    client.socket.destroy();
  });
});

describe('a gate that is stopped', () => {
  it('takes nobody in, lets sessions end in their time, and then is gone', async () => {
    const front = await startFront();
    const { client, far } = await bareSession(front);
    const idle = await rawClient(front.port);
    let stopped = false;
    const stopping = front.gate.stop({ drainMs: 20_000 }).then(() => {
      stopped = true;
    });
    // who is connected already is told, who is not finds nobody
    idle.send(upgradeRequest('/rtc', front.token));
    expect((await idle.closed).received).toMatch(/^(HTTP\/1\.1 503 |$)/);
    await expect(rawClient(front.port)).rejects.toThrow('ECONNREFUSED');
    const heard = collect(far);
    client.send('still here');
    await expect.poll(heard.text).toBe('still here');
    expect(stopped).toBe(false);
    client.socket.end();
    far.end();
    await stopping;
    await front[Symbol.asyncDispose]();
  });

  it('ends what does not end, when the time is over', async () => {
    await using front = await startFront();
    const { client, far } = await bareSession(front);
    far.resume();
    client.socket.once('end', () => client.socket.end());
    await front.gate.stop({ drainMs: 50 });
    await client.closed;
    expect(front.gate.stats().open).toBe(0);
  });
});
