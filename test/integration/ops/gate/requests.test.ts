import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type GateFront, startFront, tokenOf } from './gate-front.ts';
import { rawAnswer, rawClient, upgradeRequest } from './raw-client.ts';

let front: GateFront;
beforeAll(async () => {
  front = await startFront({ limits: { headersMs: 500, requestMs: 2_000, answerMs: 500, connectMs: 500 } });
});
afterAll(() => front[Symbol.asyncDispose]());
beforeEach(() => {
  front.upstream.seen.length = 0;
  front.upstream.upgrade = undefined;
  front.upstream.answer = (_request, response, body) => response.writeHead(200).end(body);
  front.table.change({ current: true, ban: null, seat: { canPublish: true, expiresAtMs: null } });
});

const afterMs = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

function get(target: string, headers: Record<string, string> = {}, method = 'GET'): string {
  const all = { Host: 'gate', Connection: 'close', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

describe('only the paths of the list lead anywhere, letter by letter', () => {
  it.each<[string, number]>([
    ['//rtc', 404],
    ['/rtc/', 404],
    ['/RTC', 404],
    ['/rtc/../twirp/livekit.RoomService/ListRooms', 404],
    ['/rtc/..%2ftwirp', 404],
    ['/%72tc', 404],
    ['/rtc%00', 404],
    ['/rtc/v2', 404],
    ['/rtc/v1/', 404],
    ['/rtc;x', 404],
    ['/rtc/validate/../../twirp', 404],
    ['/whip/v1/../../twirp', 404],
    ['/whip/v1/PA_x/y', 404],
    ['/twirp/livekit.RoomService/RemoveParticipant', 404],
    ['/agent', 404],
    ['/', 404],
    ['/rtc#/x', 400],
    ['/rtc?a=1#b', 400],
    ['http://elsewhere/rtc', 400],
    ['*', 400],
    ['/rtc?caf\u00e9', 400],
  ])('%s is %i, as an upgrade and as a request', async (target, status) => {
    expect(statusOf(await rawAnswer(front.port, upgradeRequest(target, front.token)))).toBe(status);
    const plain = get(target, { Authorization: `Bearer ${front.token}` });
    expect(statusOf(await rawAnswer(front.port, plain))).toBe(status);
    expect(front.upstream.seen).toEqual([]);
  });

  it.each<[string, string, number]>([
    ['POST', '/rtc/validate', 405],
    ['HEAD', '/rtc/validate', 405],
    ['PUT', '/whip/v1', 405],
    ['DELETE', '/whip/v1', 405],
    ['POST', '/whip/v1/PA_x', 405],
    ['POST', '/rtc', 405],
    ['GET', '/rtc', 404],
    ['PROPFIND', '/rtc/validate', 405],
    ['constructor', '/rtc', 400],
    ['CONNECT', '127.0.0.1:22', 405],
    ['TRACE', '/rtc', 405],
  ])('%s %s is %i', async (method, target, status) => {
    const answer = await rawAnswer(
      front.port,
      get(target, { Authorization: `Bearer ${front.token}` }, method),
    );
    expect(statusOf(answer)).toBe(status);
    expect(front.upstream.seen).toEqual([]);
  });

  it.each(['/rtc/validate', '/rtc/v1/validate', '/whip/v1'])(
    'a preflight of %s needs no token',
    async (target) => {
      await rawAnswer(front.port, get(target, { Origin: 'https://app', Cookie: 'a=b' }, 'OPTIONS'));
      expect(front.upstream.seen).toMatchObject([
        { method: 'OPTIONS', target, headers: { origin: 'https://app' } },
      ]);
      expect(front.upstream.seen[0]?.headers).not.toHaveProperty('authorization');
      expect(front.upstream.seen[0]?.headers).not.toHaveProperty('cookie');
    },
  );
});

describe('what goes on is the token that was judged', () => {
  it.each(['/rtc/validate', '/rtc/v1/validate'])('%s: from the query into the header', async (path) => {
    const target = `${path}?a=1&access_token=${front.token}&join_request=x%2By&a%63cess_token=${front.token}`;
    const answer = await rawAnswer(front.port, get(target, { 'X-Forwarded-For': '192.0.2.1' }));
    expect(statusOf(answer)).toBe(200);
    expect(front.upstream.seen).toMatchObject([
      {
        target: `${path}?a=1&join_request=x%2By`,
        headers: { authorization: `Bearer ${front.token}`, 'x-forwarded-for': '192.0.2.1, 127.0.0.1' },
      },
    ]);
  });

  it('not two that differ, wherever they stand', async () => {
    const other = await tokenOf({ jti: 'another' });
    const header = { Authorization: `Bearer ${front.token}` };
    const twoHeaders = get('/rtc/validate', header).replace(
      '\r\n\r\n',
      `\r\nAuthorization: Bearer ${other}\r\n\r\n`,
    );
    for (const request of [
      get(`/rtc/validate?access_token=${other}`, header),
      get(`/rtc/validate?access_token=${front.token}&access_token=${other}`),
      get(`/rtc/validate?access_token=${front.token}&%61ccess_token=${other}`),
      twoHeaders,
    ]) {
      const answer = await rawAnswer(front.port, request);
      expect(statusOf(answer)).toBe(401);
      expect(answer).toContain('more than one token');
    }
    expect(front.upstream.seen).toEqual([]);
  });

  it.each<[string, Record<string, string>, string]>([
    ['none', {}, 'no permissions'],
    ['another scheme', { Authorization: 'Basic eDp5' }, 'Must start with Bearer'],
    [
      'a scheme in small letters, which LiveKit refuses too',
      { Authorization: 'bearer x' },
      'Must start with',
    ],
    ['an empty one', { Authorization: 'Bearer ' }, 'Must start with Bearer'],
    ['a bad one', { Authorization: 'Bearer x.y.z' }, 'invalid authorization token'],
    ['one in a cookie', { Cookie: 'access_token=x' }, 'no permissions'],
  ])('%s is 401 in words', async (_what, headers, words) => {
    const answer = await rawAnswer(front.port, get('/rtc/validate', headers));
    expect(statusOf(answer)).toBe(401);
    expect(answer).toContain(words);
    // a page of any origin may read why: LiveKit's client stops for it
    expect(answer).toMatch(/access-control-allow-origin: \*/i);
    expect(front.upstream.seen).toEqual([]);
  });
});

describe('what two servers could read in two ways', () => {
  const body = 'GET /twirp/x HTTP/1.1\r\nHost: y\r\n\r\n';
  const authorized = () =>
    `Host: gate\r\nContent-Type: application/sdp\r\nAuthorization: Bearer ${front.token}`;
  it.each<[string, (auth: string) => string, number?]>([
    [
      'a length and chunks',
      (auth) =>
        `POST /whip/v1 HTTP/1.1\r\n${auth}\r\nContent-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${body}`,
    ],
    [
      'two lengths',
      (auth) => `POST /whip/v1 HTTP/1.1\r\n${auth}\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n${body}`,
    ],
    [
      'a length with a sign',
      (auth) => `POST /whip/v1 HTTP/1.1\r\n${auth}\r\nContent-Length: +30\r\n\r\n${body}`,
    ],
    [
      'a coding that is none',
      (auth) => `POST /whip/v1 HTTP/1.1\r\n${auth}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${body}`,
    ],
    [
      'a folded header',
      (auth) => `POST /whip/v1 HTTP/1.1\r\n${auth}\r\nX: y\r\n z: 1\r\nContent-Length : 5\r\n\r\n${body}`,
    ],
    [
      'a bare line feed in a header',
      (auth) => `GET /rtc/validate HTTP/1.1\r\n${auth}\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    ['no host', () => `GET /rtc/validate HTTP/1.1\r\nAuthorization: Bearer ${front.token}\r\n\r\n`],
    ['HTTP/0.9, which has no headers', () => 'GET /rtc/validate\r\n\r\n', 401],
    ['TLS', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('%s is refused and nothing of it arrives', async (_what, request, status = 400) => {
    const received = await rawAnswer(front.port, request(authorized()));
    expect(statusOf(received)).toBe(status);
    expect(front.upstream.seen).toEqual([]);
  });

  it('a request behind a request is one of its own: judged, and answered in turn', async () => {
    front.upstream.answer = (request, response) => response.writeHead(200).end(`[${request.url}]`);
    const first = get('/rtc/validate?n=1', {
      Authorization: `Bearer ${front.token}`,
      Connection: 'keep-alive',
    });
    const hidden = get('/twirp/livekit.RoomService/ListRooms', { Connection: 'keep-alive' });
    const nobody = get('/rtc/validate?n=2', { Connection: 'close' });
    const received = await rawAnswer(front.port, first + hidden + nobody);
    const statuses = [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
    expect(statuses).toEqual([200, 404, 401]);
    expect(front.upstream.seen.map(({ target }) => target)).toEqual(['/rtc/validate?n=1']);
  });

  it('an upgrade behind a request that is not answered yet is refused', async () => {
    front.upstream.answer = () => {};
    const first = get('/rtc/validate', { Authorization: `Bearer ${front.token}`, Connection: 'keep-alive' });
    const received = await rawAnswer(front.port, first + upgradeRequest('/rtc', front.token));
    expect(received).not.toContain('101');
    expect(front.upstream.sockets).toEqual([]);
    // whatever LiveKit answers by now, the first request is over
    front.upstream.answer = (_request, response) => response.writeHead(200).end();
    await expect.poll(() => front.gate.stats().pending).toBe(0);
  });
});

describe('what takes too much or too long', () => {
  it('headers of more than 64 kB are 431', async () => {
    expect(statusOf(await rawAnswer(front.port, get('/rtc/validate', { X: 'x'.repeat(70_000) })))).toBe(431);
  });

  it('headers that come drop by drop are 408', async () => {
    const client = await rawClient(front.port, 'GET /rtc HTTP/1.1\r\nHost: gate\r\n');
    const drops = setInterval(() => client.socket.writable && client.send('X: y\r\n'), 50);
    const { received } = await client.closed;
    clearInterval(drops);
    expect(statusOf(received)).toBe(408);
  });

  it.each<[string, string]>([
    ['announced', `Content-Length: ${2 * 1024 * 1024}\r\n\r\n`],
    [
      'in chunks',
      `Transfer-Encoding: chunked\r\n\r\n${`10000\r\n${'x'.repeat(0x10000)}\r\n`.repeat(20)}0\r\n\r\n`,
    ],
  ])('a body of more than 1 MiB is 413: %s', async (_how, rest) => {
    const head = `POST /whip/v1 HTTP/1.1\r\nHost: gate\r\nContent-Type: application/sdp\r\nAuthorization: Bearer ${front.token}\r\n`;
    const client = await rawClient(front.port, head + rest);
    await expect.poll(() => statusOf(client.received())).toBe(413);
    client.socket.destroy();
  });

  it('LiveKit that does not answer is 504, and says so once in the log', async () => {
    const earlier = front.logged().length;
    front.upstream.answer = () => {};
    front.upstream.upgrade = () => {};
    const request = get('/rtc/validate', { Authorization: `Bearer ${front.token}` });
    expect(statusOf(await rawAnswer(front.port, request))).toBe(504);
    expect(statusOf(await rawAnswer(front.port, upgradeRequest('/rtc', front.token)))).toBe(504);
    expect(
      front
        .logged()
        .slice(earlier)
        .match(/LiveKit cannot be reached/g),
    ).toHaveLength(1);
  });

  it('an offer that comes slowly is no silence of LiveKit', async () => {
    await using slow = await startFront({ limits: { answerMs: 300, connectMs: 300 } });
    const client = await rawClient(
      slow.port,
      `POST /whip/v1 HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\nAuthorization: Bearer ${slow.token}\r\n\r\n`,
    );
    // longer than LiveKit may take for its answer
    for (const letter of 'offer') {
      await new Promise((resolve) => setTimeout(resolve, 200));
      client.send(letter);
    }
    expect(statusOf((await client.closed).received)).toBe(200);
    expect(slow.logged()).not.toContain('LiveKit cannot be reached');
    expect(slow.gate.stats().refused).toEqual({});
  });

  it('an answer of LiveKit that does not end holds nobody: not to a request, not to an upgrade', async () => {
    front.upstream.answer = (_request, response) =>
      response.writeHead(200, { 'content-length': 9 }).write('half');
    front.upstream.upgrade = (_request, socket) =>
      socket.write('HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nhalf');
    const request = get('/rtc/validate', { Authorization: `Bearer ${front.token}` });
    expect(await rawAnswer(front.port, request)).toMatch(/^HTTP\/1\.1 200 .*half$/s);
    expect(await rawAnswer(front.port, upgradeRequest('/rtc', front.token))).toMatch(
      /^HTTP\/1\.1 401 .*half$/s,
    );
    await expect.poll(() => front.gate.stats().pending).toBe(0);
  });

  it('a refusal that LiveKit does not end does not keep a gate from stopping', async () => {
    await using held = await startFront();
    held.upstream.upgrade = (_request, socket) =>
      socket.write('HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nhalf');
    const client = await rawClient(held.port, upgradeRequest('/rtc', held.token));
    await expect.poll(() => client.received()).toMatch(/half$/);
    const stopping = held.gate.stop().then(() => 'stopped');
    expect(await Promise.race([client.closed.then(() => stopping), afterMs(5_000)])).toBe('stopped');
  });

  it('LiveKit that breaks off is 502', async () => {
    front.upstream.answer = (request) => request.socket.destroy();
    front.upstream.upgrade = (_request, socket) => socket.destroy();
    const request = get('/rtc/validate', { Authorization: `Bearer ${front.token}` });
    expect(statusOf(await rawAnswer(front.port, request))).toBe(502);
    expect(statusOf(await rawAnswer(front.port, upgradeRequest('/rtc', front.token)))).toBe(502);
  });

  it('no LiveKit at all is 502', async () => {
    await using closed = await startFront({ upstream: 'ws://127.0.0.1:1' });
    const request = upgradeRequest('/rtc', closed.token);
    expect(statusOf(await rawAnswer(closed.port, request))).toBe(502);
    expect(closed.gate.stats()).toMatchObject({ pending: 0, open: 0, refused: { upstream_down: 1 } });
  });

  it('more at once than may be pending are 503, and the rest goes on', async () => {
    await using few = await startFront({ limits: { pending: 2 } });
    few.upstream.upgrade = () => {};
    const waiting = [await rawClient(few.port), await rawClient(few.port)];
    for (const client of waiting) client.send(upgradeRequest('/rtc', few.token));
    await expect.poll(() => few.gate.stats().pending).toBe(2);
    expect(statusOf(await rawAnswer(few.port, upgradeRequest('/rtc', few.token)))).toBe(503);
    for (const client of waiting) client.socket.resetAndDestroy();
    await expect.poll(() => few.gate.stats().pending).toBe(0);
    few.upstream.upgrade = undefined;
    const next = await rawClient(few.port, upgradeRequest('/rtc', few.token));
    await expect.poll(() => statusOf(next.received())).toBe(101);
    next.socket.destroy();
  });
});

describe('WHIP', () => {
  const offer = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n';
  const post = (token: string, headers: Record<string, string> = {}) =>
    get(
      '/whip/v1',
      {
        'Content-Type': 'application/sdp',
        'Content-Length': String(offer.length),
        Authorization: `Bearer ${token}`,
        ...headers,
      },
      'POST',
    ) + offer;

  it('passes on offer and answer, location and tag, and no forged header', async () => {
    front.upstream.answer = (_request, response, body) =>
      response
        .writeHead(201, { location: '/whip/v1/PA_x', etag: 'tag', 'content-type': 'application/sdp' })
        .end(`answer to ${body}`);
    const answer = await rawAnswer(
      front.port,
      post(front.token, { 'X-Livekit-Ingress': '1', Cookie: 'a=b' }),
    );
    expect(statusOf(answer)).toBe(201);
    expect(answer).toMatch(/location: \/whip\/v1\/PA_x\r\n/i);
    expect(answer).toMatch(/etag: tag\r\n/i);
    expect(answer).toContain(`answer to ${offer}`);
    expect(front.upstream.seen).toMatchObject([{ method: 'POST', body: offer }]);
    expect(Object.keys(front.upstream.seen[0]?.headers ?? {})).not.toContain('x-livekit-ingress');
  });

  it('a banned user may end a session, and nothing else', async () => {
    front.table.change({ ban: { untilMs: null } });
    const authorization = { Authorization: `Bearer ${front.token}`, 'If-Match': 'tag' };
    expect(statusOf(await rawAnswer(front.port, post(front.token)))).toBe(403);
    expect(statusOf(await rawAnswer(front.port, get('/whip/v1/PA_x', authorization, 'PATCH')))).toBe(403);
    expect(statusOf(await rawAnswer(front.port, get('/rtc/validate', authorization)))).toBe(403);
    expect(front.upstream.seen).toEqual([]);
    expect(statusOf(await rawAnswer(front.port, get('/whip/v1/PA_x', authorization, 'DELETE')))).toBe(200);
    expect(front.upstream.seen).toMatchObject([{ method: 'DELETE', target: '/whip/v1/PA_x' }]);
  });
});

describe('what is told', () => {
  it('every decision, with its door; tokens nowhere', async () => {
    await expect.poll(() => front.gate.stats().pending).toBe(0);
    front.decisions.length = 0;
    await rawAnswer(front.port, get(`/rtc/validate?access_token=${front.token}`));
    await rawAnswer(front.port, get(`/whip/v1/PA_x?access_token=${front.token}x`, {}, 'DELETE'));
    front.table.change({ current: false });
    await rawAnswer(front.port, upgradeRequest(`/rtc/v1?access_token=${front.token}`, null));
    expect(front.decisions.map(({ door, outcome }) => `${door} ${outcome}`)).toEqual([
      '/rtc/validate admitted',
      '/whip/v1/{id} bad_token',
      '/rtc/v1 table_not_current',
    ]);
    expect(front.decisions.every(({ tookMs }) => tookMs >= 0)).toBe(true);
    const told = front.logged() + JSON.stringify(front.decisions) + JSON.stringify(front.gate.stats());
    expect(told).not.toContain('eyJ');
    expect(told).not.toContain(front.token.split('.')[2]);
  });

  it('a client that goes away while LiveKit thinks takes its request along', async () => {
    let aborted = false;
    front.upstream.answer = (request) =>
      request.socket.once('close', () => {
        aborted = true;
      });
    const socket = connect(front.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(get('/rtc/validate', { Authorization: `Bearer ${front.token}` }));
    await expect.poll(() => front.upstream.seen.length).toBe(1);
    socket.resetAndDestroy();
    await expect.poll(() => aborted).toBe(true);
    await expect.poll(() => front.gate.stats().pending).toBe(0);
  });
});
