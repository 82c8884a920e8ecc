import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type GatewayFixture, jsonObject, startGatewayFixture } from './gateway-fixture.ts';
import { restSchemaSql } from './rest-schema.sql.ts';

let f: GatewayFixture;

beforeAll(async () => {
  // short, so that the slow clients below need not be slow for a quarter of a minute
  f = await startGatewayFixture({ clientTimeouts: { headersMs: 500, requestMs: 1000 } });
  await f.owner.query(restSchemaSql);
});
afterAll(() => f?.stop());

// whatever a test threw at it, the gateway answers afterwards, and none of it was an unexpected failure
afterEach(async () => {
  const { data, error } = await f.client(f.keys.anon).from('books').select('id').order('id');
  expect(error).toBeNull();
  expect(data).toHaveLength(4);
  expect(f.gateway.stats().failures).toBe(0);
});

/** Sends raw bytes and gives what comes back until the server closes, at most `ms` later. */
async function raw(bytes: string | Buffer, ms = 3000): Promise<string> {
  const socket = connect(f.gateway.port, '127.0.0.1');
  socket.on('error', () => {});
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  await Promise.race([once(socket, 'close'), delay(ms)]);
  socket.destroy();
  return Buffer.concat(chunks).toString('latin1');
}

describe('SQL in names', () => {
  test.each([
    '/rest/v1/books%22;drop%20table%20public.books;--',
    '/rest/v1/books?select=id%22%20from%20public.secrets;--',
    '/rest/v1/books?select=%22id%5C%22,(select%20word%20from%20secrets)%22',
    '/rest/v1/books?%22id%22)%20or%20(1=1=eq.1',
    '/rest/v1/books?order=id;drop%20table%20books',
    '/rest/v1/books?order=%22id%5C%22;%20drop%20table%20books%22',
    '/rest/v1/books?select=id::int);drop%20table%20books;--',
    '/rest/v1/books?select=id::%22int4%22',
    "/rest/v1/books?id=fts('x').1",
    "/rest/v1/books?title=fts(english'x).1",
    '/rest/v1/rpc/add%22(1);drop%20table%20public.books;--?a=1',
    '/rest/v1/books?columns=%22x%5C%22)%22',
    '/rest/v1/books?on_conflict=%22x%22',
  ])('%s harms nothing', async (path) => {
    const response = await f.fetch(path);
    expect([200, 400, 404]).toContain(response.status);
    expect(await response.text()).not.toMatch(/syntax error/);
  });

  test('an alias may be anything and stays a name', async () => {
    const alias = 'x", (select 1) as "y';
    const select = encodeURIComponent(`"${alias.replaceAll('"', '\\"')}":id`);
    const response = await f.fetch(`/rest/v1/books?select=${select}&id=eq.1`);
    expect(await response.json()).toEqual([{ [alias]: 1 }]);
  });

  test('values are values', async () => {
    const value = encodeURIComponent("'; drop table books; --");
    expect(await (await f.fetch(`/rest/v1/books?title=eq.${value}`)).json()).toEqual([]);
    expect(await (await f.fetch(`/rest/v1/books?title=in.("${value}")`)).json()).toEqual([]);
    const key = encodeURIComponent(`data->>a'b"c`);
    expect((await f.fetch(`/rest/v1/books?select=id&data->>${encodeURIComponent("x'y")}=eq.1`)).status).toBe(
      200,
    );
    expect((await f.fetch(`/rest/v1/books?select=${key}`)).status).toBeLessThan(500);
  });
});

describe('bytes that do not belong', () => {
  test.each([
    ['a NUL in a value', '/rest/v1/books?title=eq.%00', 400],
    ['a NUL in a table name', '/rest/v1/bo%00oks', 404],
    ['a NUL in an alias', '/rest/v1/books?select=a%00b:id', 400],
    ['bad UTF-8 in a value', '/rest/v1/books?title=eq.%ff%fe', 400],
    ['bad UTF-8 in a path', '/rest/v1/%ff', 404],
    ['a path that goes up', '/rest/v1/../../etc/passwd', 404],
    ['a path too deep', '/rest/v1/a/b/c', 404],
    ['no such service', '/nothing/v1', 404],
  ])('%s', async (_what, path, status) => {
    expect((await f.fetch(path)).status).toBe(status);
  });

  test('NUL and surrogates in JSON', async () => {
    const post = (body: string | Uint8Array<ArrayBuffer>) =>
      f.fetch('/rest/v1/items', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    expect((await post('{"code":"a\\u0000b"}')).status).toBe(400);
    expect((await post('{"code":"\\ud800"}')).status).toBe(400);
    expect((await post(new Uint8Array([0x7b, 0xff, 0x7d]))).status).toBe(400);
    expect((await post('{"__proto__":{"x":1}}')).status).toBe(400);
    expect((await post(`${'['.repeat(100_000)}`)).status).toBe(400);
    expect((await post(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`)).status).toBe(400);
  });
});

describe('keys', () => {
  test('none, a wrong one, one of another project', async () => {
    const bare = await fetch(`${f.gateway.url}/rest/v1/books`);
    expect({ status: bare.status, ...(await jsonObject(bare)) }).toEqual({
      status: 401,
      message: 'No API key found in request',
      hint: 'No `apikey` request header or url param was found.',
    });
    expect((await f.fetch('/rest/v1/books', { key: 'nonsense' })).status).toBe(401);
    expect((await f.fetch('/rest/v1/books', { key: 'sb_secret_guess' })).status).toBe(401);
    expect((await fetch(`${f.gateway.url}/rest/v1/books?apikey=${f.keys.anon}`)).status).toBe(200);
    const browser = await f.fetch('/rest/v1/books', {
      key: f.keys.secret,
      headers: { 'User-Agent': 'Mozilla/5.0' },
    });
    expect(browser.status).toBe(401);
  });
});

describe('size and time', () => {
  test('a body beyond the limit is 413, announced or not', async () => {
    const big = 'x'.repeat(11 * 1024 * 1024);
    const announced = await raw(
      `POST /rest/v1/items HTTP/1.1\r\nHost: x\r\napikey: ${f.keys.anon}\r\nContent-Length: ${big.length}\r\n\r\n`,
    );
    expect(announced).toMatch(/^HTTP\/1\.1 413 /);
    expect(announced).toMatch(/connection: close/i);
    const chunk = `${(1024 * 1024).toString(16)}\r\n${'x'.repeat(1024 * 1024)}\r\n`;
    const chunked = await raw(
      `POST /rest/v1/items HTTP/1.1\r\nHost: x\r\napikey: ${f.keys.anon}\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(12)}`,
    );
    // the client may still be sending when the connection closes: either it reads the answer or it is cut off
    expect(chunked === '' || chunked.startsWith('HTTP/1.1 413 ')).toBe(true);
  });

  test('headers beyond the limit are 431, what is no HTTP is 400', async () => {
    expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    expect(await raw('hello gateway\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), 500)).toMatch(
      /^(HTTP\/1\.1 400 .*)?/,
    );
    expect(
      await raw(
        'GET /rest/v1/books HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n',
      ),
    ).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('a URL of many kilobytes works, one beyond the limit is refused', async () => {
    const list = (n: number) =>
      `/rest/v1/books?select=id&id=in.(${Array.from({ length: n }, (_, i) => i).join(',')})`;
    expect(await (await f.fetch(list(3000))).json()).toHaveLength(4);
    expect((await f.fetch(list(20_000))).status).toBe(431);
  });

  test('a client that goes away in the middle of its body leaves nothing behind', async () => {
    await raw(
      `POST /rest/v1/items HTTP/1.1\r\nHost: x\r\napikey: ${f.keys.anon}\r\nContent-Length: 100\r\n\r\n{"a":`,
      100,
    );
    await delay(50);
    expect(f.gateway.stats().inFlight).toBe(0);
  });

  test('a client that never finishes its headers or its body is cut off with 408, and others are served meanwhile', async () => {
    const slowHeaders = raw('GET /rest/v1/books HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    const slowBody = raw(
      `POST /rest/v1/items HTTP/1.1\r\nHost: x\r\napikey: ${f.keys.anon}\r\nContent-Length: 100\r\n\r\n{"code":`,
    );
    expect((await f.fetch('/rest/v1/books?select=id')).status).toBe(200);
    expect(await slowHeaders).toMatch(/^HTTP\/1\.1 408 /);
    expect(await slowBody).toMatch(/^HTTP\/1\.1 4(08|00) /);
  });

  test('many statements of ever new shape stay bounded in the server', async () => {
    for (let i = 0; i < 260; i++)
      await f.fetch(`/rest/v1/books?select=a${i}:id&limit=1`).then((r) => r.text());
    const { rows } = await f.admin.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where application_name = 'postgrest'",
    );
    expect(rows[0]?.n).toBeLessThanOrEqual(12);
    expect((await f.fetch('/rest/v1/books?select=a0:id&limit=1')).status).toBe(200);
  });
});

describe('requests of browsers', () => {
  test('a preflight is answered without a key', async () => {
    const response = await fetch(`${f.gateway.url}/rest/v1/books`, {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://app.example',
        'Access-Control-Request-Method': 'PATCH',
        'Access-Control-Request-Headers': 'apikey,x-mine',
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-allow-headers')).toBe('apikey,x-mine');
    expect(response.headers.get('access-control-allow-methods')).toContain('PATCH');
  });

  test('errors carry the CORS headers too', async () => {
    const response = await fetch(`${f.gateway.url}/rest/v1/books`);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-expose-headers')).toContain('Content-Range');
  });
});

describe('WebSockets', () => {
  test('a socket for anything but Realtime is 404', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${f.gateway.port}/rest/v1/books`);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(404);
    socket.on('error', () => {});
    socket.terminate();
  });

  test.each([
    ['websocket', 'open'],
    ['websocket/', 'open'],
    ['socket/websocket', 'open'],
    ['nowhere', 404],
  ])('/realtime/v1/%s is for Realtime to decide: %s', async (path, expected) => {
    const url = `ws://127.0.0.1:${f.gateway.port}/realtime/v1/${path}?apikey=${f.keys.anon}&vsn=2.0.0`;
    const socket = new WebSocket(url);
    socket.on('error', () => {});
    const outcome = await new Promise((resolve) => {
      socket.once('open', () => resolve('open'));
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
    });
    socket.terminate();
    expect(outcome).toBe(expected);
  });

  test('Realtime is mounted: the official client joins and gets its own broadcast', async () => {
    const supabase = f.client(f.keys.publishable);
    const channel = supabase.channel('room', { config: { broadcast: { self: true } } });
    const received = new Promise((resolve) => {
      channel
        .on('broadcast', { event: 'hi' }, ({ payload }) => resolve(payload))
        .subscribe((status) => {
          if (status === 'SUBSCRIBED')
            void channel.send({ type: 'broadcast', event: 'hi', payload: { n: 1 } });
        });
    });
    expect(await received).toEqual({ n: 1 });
    await supabase.removeAllChannels();
    await supabase.realtime.disconnect();
  });
});
