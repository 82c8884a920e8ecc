import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Target } from '../../../src/config/target.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { doctor } from '../../../src/provision/doctor.ts';
import type { DoctorContext } from '../../../src/provision/doctor-check.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestPostgres } from '../harness/postgres.ts';
import { Provisioned } from './provisioned.ts';

let db: Provisioned;
const servers: Server[] = [];
beforeAll(async () => {
  db = await Provisioned.start();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

const jwt = (role: string) =>
  `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from(JSON.stringify({ role })).toString('base64url')}.x`;

function target(overrides: Partial<Target> = {}): Target {
  return {
    ...{
      name: 'test',
      kind: 'supabase',
      supabaseUrl: 'http://127.0.0.1:1',
      anonKey: new Secret(jwt('anon')),
    },
    ...{ serviceRoleKey: undefined, jwtSecret: undefined, databaseUrl: new Secret(db.postgres.databaseUrl) },
    ...{ livekit: undefined, hls: undefined, tokenEndpoint: undefined, limits: undefined },
    ...overrides,
  } as Target; // every field is there
}

async function check(id: string, context: Partial<DoctorContext> = {}) {
  const checks = await doctor({
    target: target(),
    database: db.pool,
    clock: systemClock,
    signal: AbortSignal.timeout(60_000),
    ...context,
  });
  const found = checks.find((one) => one.id === id);
  if (found === undefined) throw new Error(`no check ${id}`);
  return found;
}

/** A server that gives every request the same answer. */
async function serve(status: number, body: string, type = 'application/json'): Promise<string> {
  const server = createServer((_, response) =>
    response.writeHead(status, { 'content-type': type }).end(body),
  );
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // listening on TCP
}

describe('doctor', () => {
  it('finds nothing wrong with a fresh database but that nobody settles', async () => {
    const checks = await doctor({
      target: target(),
      database: db.pool,
      clock: systemClock,
      signal: AbortSignal.timeout(60_000),
    });
    const of = (prefix: string) =>
      Object.fromEntries(
        checks.filter(({ id }) => id.startsWith(prefix)).map(({ id, status }) => [id, status]),
      );
    expect({ ...of('database'), ...of('schema'), ...of('realtime'), ...of('settlement') }).toEqual({
      ...{
        'database.reachable': 'ok',
        'database.version': 'ok',
        'database.clock': 'ok',
        'database.wal_level': 'ok',
      },
      ...{ 'database.snapshots': 'ok', 'schema.current': 'ok', 'schema.drift': 'ok', 'schema.rls': 'ok' },
      ...{
        'realtime.publication': 'ok',
        'settlement.schedule': 'ok',
        'settlement.cron': 'skip',
        'settlement.runs': 'skip',
        'settlement.capacity': 'skip',
        'settlement.history': 'skip',
        // no failure before a gift has waited in vain
        'settlement.health': 'warn',
      },
    });
    for (const { status, fix } of checks) if (status === 'fail') expect(fix).toBeTruthy();
    await db.pool.query('call drain_gift_ledger()');
    expect(await check('settlement.health')).toMatchObject({ status: 'ok' });
  });

  it('sees a table that anybody can reach, one out of the publication, and drift', async () => {
    await db.pool.query('create table public.open_door (id int)');
    expect(await check('schema.rls')).toMatchObject({
      status: 'fail',
      detail: expect.stringContaining('open_door'),
    });
    await db.pool.query('revoke all on public.open_door from anon, authenticated');
    expect(await check('schema.rls')).toMatchObject({ status: 'warn' });
    await db.pool.query('drop table public.open_door');
    await db.pool.query('alter publication supabase_realtime drop table public.streams');
    expect(await check('realtime.publication')).toMatchObject({ status: 'fail', fix: 'trollfix provision' });
    expect(await check('schema.drift')).toMatchObject({ status: 'fail', fix: 'trollfix provision --check' });
    await db.pool.query('alter publication supabase_realtime add table public.streams');
    expect(await check('schema.drift')).toMatchObject({ status: 'ok' });
  });

  it('tells clocks that are apart', async () => {
    const off = (ms: number) => ({ clock: { ...systemClock, now: () => Date.now() + ms } });
    expect(await check('database.clock', off(5_000))).toMatchObject({ status: 'warn' });
    expect(await check('database.clock', off(-45_000))).toMatchObject({ status: 'fail' });
  });

  it('says what cannot be looked at, and why', async () => {
    const nobody = openDatabase('postgres://postgres:secret-canary@127.0.0.1:1/postgres');
    const checks = await doctor({
      target: target(),
      database: nobody,
      clock: systemClock,
      signal: AbortSignal.timeout(60_000),
    });
    const by = Object.fromEntries(checks.map((one) => [one.id, one]));
    expect(by['database.reachable']).toMatchObject({ status: 'fail' });
    expect(by['schema.drift']).toMatchObject({ status: 'skip' });
    expect(JSON.stringify(checks)).not.toContain('secret-canary');
    expect(await check('database.reachable', { database: undefined })).toMatchObject({ status: 'skip' });
  });

  it('finds a database that nobody provisioned', async () => {
    await using empty = await startTestPostgres();
    const pool = openDatabase(empty.databaseUrl, { max: 1 });
    expect(await check('schema.current', { database: pool })).toMatchObject({
      status: 'fail',
      fix: 'trollfix provision',
    });
    expect(await check('settlement.health', { database: pool })).toMatchObject({ status: 'skip' });
    await pool.end();
  });

  it('knows swapped and wrong keys', async () => {
    const refused = await serve(
      401,
      '{"code":"42501","message":"permission denied for table gift_settings"}',
    );
    const open = await serve(200, '[]');
    const bad = await serve(401, '{"code":"PGRST301","message":"JWSError JWSInvalidSignature"}');
    const at = (supabaseUrl: string, more: Partial<Target> = {}) => ({
      target: target({ supabaseUrl, ...more }),
    });
    expect(await check('supabase.anon_key', at(refused))).toMatchObject({ status: 'ok' });
    expect(
      await check('supabase.anon_key', at(refused, { anonKey: new Secret(jwt('service_role')) })),
    ).toMatchObject({ status: 'fail' });
    expect(await check('supabase.anon_key', at(open))).toMatchObject({ status: 'fail' });
    expect(await check('supabase.anon_key', at(bad))).toMatchObject({ status: 'fail' });
    expect(await check('supabase.anon_key')).toMatchObject({ status: 'fail', fix: 'trollfix up --detach' });
    // what is not an answer about the key is no proof that it is kept out
    const down = await serve(503, '{"code":"PGRST002","message":"Could not query the database"}');
    const other = await serve(404, '<html>not found</html>', 'text/html');
    const bare = await serve(404, '{"code":"PGRST205","message":"Could not find the table"}');
    expect(await check('supabase.anon_key', at(down))).toMatchObject({ status: 'fail' });
    expect(await check('supabase.anon_key', at(other))).toMatchObject({ status: 'fail' });
    expect(await check('supabase.anon_key', at(bare))).toMatchObject({
      status: 'warn',
      fix: 'trollfix provision',
    });
    const service = (role: string) => ({ serviceRoleKey: new Secret(jwt(role)) });
    expect(await check('supabase.service_role_key', at(open, service('service_role')))).toMatchObject({
      status: 'ok',
    });
    expect(await check('supabase.service_role_key', at(open, service('anon')))).toMatchObject({
      status: 'fail',
    });
    expect(await check('supabase.service_role_key', at(bad, service('service_role')))).toMatchObject({
      status: 'fail',
    });
    expect(await check('supabase.service_role_key', at(open))).toMatchObject({ status: 'skip' });
  });

  it('looks at LiveKit, the token endpoint and the playlist', async () => {
    const livekit = { url: 'http://127.0.0.1:1', apiKey: 'k', apiSecret: new Secret('s'.repeat(32)) };
    expect(await check('livekit.reachable', { target: target({ livekit }) })).toMatchObject({
      status: 'fail',
    });
    const tokenEndpoint = await serve(200, '{"token":"eyJhbGciOiJIUzI1NiJ9.e30.x"}');
    expect(await check('token.endpoint', { target: target({ tokenEndpoint }) })).toMatchObject({
      status: 'fail',
    });
    const guarded = await serve(401, '{}');
    expect(await check('token.endpoint', { target: target({ tokenEndpoint: guarded }) })).toMatchObject({
      status: 'ok',
    });
    const playlist = async (status: number, body: string, type: string) =>
      (
        await check('hls.playlist', {
          target: target({ hls: { url: `${await serve(status, body, type)}/live.m3u8` } }),
        })
      ).status;
    expect(await playlist(200, '#EXTM3U\n', 'application/vnd.apple.mpegurl')).toBe('ok');
    expect(await playlist(200, '#EXTM3U\n', 'text/plain')).toBe('warn');
    expect(await playlist(200, '<html>', 'text/html')).toBe('fail');
    expect(await playlist(404, '', 'text/plain')).toBe('fail');
  });
});
