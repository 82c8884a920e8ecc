import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { mintApiKeys } from '../../../../src/local/gateway/keys.ts';
import { startGatewayFixture } from './gateway-fixture.ts';

test('connections that are killed in the middle of a request fail that request only', async () => {
  const f = await startGatewayFixture();
  try {
    await f.owner.query(`create function public.slow(p_s float8) returns void language sql volatile as 'select pg_sleep(p_s)';
      create table public.t (id int)`);
    const slow = f.client(f.keys.anon).rpc('slow', { p_s: 2 });
    const [result] = await Promise.all([
      slow,
      delay(300).then(() =>
        f.admin.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name in ('postgrest', 'trollfix-gateway-schema-cache', 'trollfix-gateway-admin')",
        ),
      ),
    ]);
    expect(result.status).toBe(503);
    const again = await f.client(f.keys.anon).from('t').select();
    expect({ status: again.status, error: again.error }).toEqual({ status: 200, error: null });
    // the listening connection comes back too: new tables are seen
    await f.owner.query('create table public.later (id int)');
    await pollUntil(
      async () => ((await f.client(f.keys.anon).from('later').select()).status === 200 ? true : undefined),
      {
        ms: 5000,
        everyMs: 50,
        what: 'the schema cache',
      },
    );
    expect(f.gateway.stats().failures).toBe(0);
  } finally {
    await f.stop();
  }
});

test('while PostgreSQL is away requests are 503, when it is back they work', async () => {
  const f = await startGatewayFixture();
  try {
    await f.owner.query('create table public.t (id int)');
    // known to the schema cache before the database goes
    expect((await f.client(f.keys.anon).from('t').select()).status).toBe(200);
    f.postgres.service.kill('SIGKILL');
    await pollUntil(() => (f.postgres.service.health === 'healthy' ? undefined : true), {
      ms: 5000,
      everyMs: 20,
      what: 'the end of PostgreSQL',
    });
    const away = await f.client(f.keys.anon).from('t').select().retry(false);
    expect({ status: away.status, code: away.error?.code }).toEqual({ status: 503, code: 'PGRST001' });
    const health = await fetch(`${f.gateway.url}/health`);
    expect(health.status).toBe(200);
    await f.postgres.service.start(AbortSignal.timeout(30_000));
    await pollUntil(
      async () =>
        (await f.client(f.keys.anon).from('t').select().retry(false)).status === 200 ? true : undefined,
      { ms: 10_000, everyMs: 50, what: 'the gateway' },
    );
    expect(f.gateway.stats().failures).toBe(0);
  } finally {
    await f.stop();
  }
});

test('as a process it ends with its parent, after answering what is in flight', async () => {
  const f = await startGatewayFixture();
  try {
    await f.owner.query(
      `create function public.slow(p_s float8) returns int language sql volatile as 'select 5 from pg_sleep(p_s)'`,
    );
    const entry = fileURLToPath(new URL('../../../../src/local/gateway/main.ts', import.meta.url));
    const child = fork(entry, { stdio: 'ignore' });
    child.send({
      host: '127.0.0.1',
      port: 0,
      adminUrl: f.postgres.adminUrl,
      authenticatorUrl: f.postgres.authenticatorUrl,
      jwtSecret: f.jwtSecret,
      apiKeys: await mintApiKeys(f.jwtSecret),
      livekit: null,
      quota: null,
    });
    const [ready] = await once(child, 'message');
    expect(ready).toMatchObject({ type: 'ready', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
    const inFlight = fetch(`${ready.url}/rest/v1/rpc/slow`, {
      method: 'POST',
      headers: { apikey: f.keys.anon, 'Content-Type': 'application/json' },
      body: '{"p_s":0.7}',
    });
    await delay(200);
    child.disconnect();
    expect(await (await inFlight).json()).toBe(5);
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  } finally {
    await f.stop();
  }
});

test('a start that cannot reach the database says why and leaves nothing open', async () => {
  const entry = fileURLToPath(new URL('../../../../src/local/gateway/main.ts', import.meta.url));
  const child = fork(entry, { stdio: 'ignore' });
  child.send({
    host: '127.0.0.1',
    port: 0,
    adminUrl: 'postgres://a:canary@127.0.0.1:1/postgres',
    authenticatorUrl: 'postgres://a:canary@127.0.0.1:1/postgres',
    jwtSecret: 'x'.repeat(40),
    apiKeys: await mintApiKeys('x'.repeat(40)),
    livekit: null,
    quota: null,
  });
  const [answer] = await once(child, 'message');
  expect(answer).toMatchObject({ type: 'failed', message: expect.stringContaining('ECONNREFUSED') });
  expect(JSON.stringify(answer)).not.toContain('canary');
  const [code] = await once(child, 'exit');
  expect(code).toBe(1);
});
