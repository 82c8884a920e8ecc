import { randomUUID } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayFixture, jsonObject, livekitSecret, startGatewayFixture } from './gateway-fixture.ts';

let f: GatewayFixture;
const stream = randomUUID();
const ended = randomUUID();
const speaker = randomUUID();
const viewer = randomUUID();
const banned = randomUUID();

// the contract of `livekit_token_context`, answered from three tables, so that the function is tested on its own
const contextSql = `
create table public.t_streams (id uuid primary key, status text);
create table public.t_seats (user_id uuid, can_publish bool, state text);
create table public.t_bans (user_id uuid, reason text);
create function public.livekit_token_context(p_stream_id uuid, p_user_id uuid) returns jsonb language sql stable as $$
  select jsonb_build_object(
    'stream', (select jsonb_build_object('id', id, 'room', id, 'status', status) from public.t_streams where id = p_stream_id),
    'profile', jsonb_build_object('username', 'u', 'display_name', 'U', 'avatar_url', null),
    'seat', (select jsonb_build_object('role', 'speaker', 'can_publish', can_publish, 'state', state, 'expires_at', null) from public.t_seats where user_id = p_user_id),
    'ban', (select jsonb_build_object('reason', reason, 'until', null) from public.t_bans where user_id = p_user_id))
$$;
revoke execute on function public.livekit_token_context from public, anon, authenticated;
`;

beforeAll(async () => {
  f = await startGatewayFixture();
  await f.owner.query(contextSql);
  await f.owner.query("insert into public.t_streams values ($1, 'live'), ($2, 'ended')", [stream, ended]);
  await f.owner.query("insert into public.t_seats values ($1, true, 'active'), ($2, true, 'active')", [
    speaker,
    banned,
  ]);
  await f.owner.query("insert into public.t_bans values ($1, 'spam')", [banned]);
});
afterAll(() => f?.stop());

function tokenOf(
  sub: string,
  role = 'authenticated',
  expiresIn: string | number = '1h',
  secret = f.jwtSecret,
) {
  return new SignJWT({ role })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setExpirationTime(expiresIn)
    .sign(new TextEncoder().encode(secret));
}

async function ask(bearer: string | undefined, body: unknown, url = f.gateway.url) {
  const response = await fetch(`${url}/functions/v1/livekit-token`, {
    method: 'POST',
    headers: bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await jsonObject(response) };
}

async function claimsOf(token: unknown) {
  return (await jwtVerify(String(token), new TextEncoder().encode(livekitSecret), { algorithms: ['HS256'] }))
    .payload;
}

describe('who gets which token', () => {
  test('a viewer subscribes, a speaker publishes; through the official client', async () => {
    const { data, error } = await f.client(f.keys.publishable).functions.invoke('livekit-token', {
      body: { streamId: stream },
      headers: { Authorization: `Bearer ${await tokenOf(viewer)}` },
    });
    expect(error).toBeNull();
    expect(data).toMatchObject({ url: 'ws://127.0.0.1:7880', identity: viewer, room: stream });
    expect(Date.parse(data.expiresAt)).toBeGreaterThan(Date.now());
    expect(await claimsOf(data.token)).toMatchObject({
      iss: 'APItest',
      sub: viewer,
      video: { roomJoin: true, room: stream, canPublish: false, canSubscribe: true, canPublishData: false },
    });
    const seated = await ask(await tokenOf(speaker), { stream_id: stream });
    expect(await claimsOf(seated.body.token)).toMatchObject({ video: { canPublish: true } });
  });

  test('what the client asks for beyond the stream is ignored', async () => {
    const { body } = await ask(await tokenOf(viewer), {
      streamId: stream,
      identity: speaker,
      room: 'other',
      canPublish: true,
      video: { roomAdmin: true },
      ttl: 99999,
    });
    const claims = await claimsOf(body.token);
    expect(claims).toMatchObject({ sub: viewer, video: { room: stream, canPublish: false } });
    expect(JSON.stringify(claims)).not.toContain('roomAdmin');
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBeLessThanOrEqual(60);
  });
});

describe('refusals', () => {
  test('banned, ended, unknown', async () => {
    expect(await ask(await tokenOf(banned), { streamId: stream })).toMatchObject({
      status: 403,
      body: { code: 'banned' },
    });
    expect(await ask(await tokenOf(viewer), { streamId: ended })).toMatchObject({
      status: 403,
      body: { code: 'stream_ended' },
    });
    expect(await ask(await tokenOf(viewer), { streamId: randomUUID() })).toMatchObject({ status: 404 });
  });

  test('bodies', async () => {
    const token = await tokenOf(viewer);
    expect((await ask(token, '{')).status).toBe(400);
    expect((await ask(token, {})).status).toBe(400);
    expect((await ask(token, { streamId: "x' or 1=1" })).status).toBe(400);
    expect((await ask(token, { streamId: stream, pad: 'x'.repeat(20_000) })).status).toBe(413);
  });

  test('callers: none, keys, forged, expired, alg none', async () => {
    const body = { streamId: stream };
    expect(await ask(undefined, body)).toMatchObject({
      status: 401,
      body: { message: 'Missing authorization header' },
    });
    expect((await ask(f.keys.anon, body)).status).toBe(401);
    expect((await ask(f.keys.serviceRole, body)).status).toBe(403);
    expect(await ask(f.keys.secret, body)).toMatchObject({ status: 401, body: { message: 'Invalid JWT' } });
    expect(
      (await ask(await tokenOf(viewer, 'authenticated', '1h', 'a wrong secret of thirty-two bytes!!'), body))
        .status,
    ).toBe(401);
    expect(
      (await ask(await tokenOf(viewer, 'authenticated', Math.floor(Date.now() / 1000) - 5), body)).status,
    ).toBe(401);
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ role: 'authenticated', sub: viewer })).toString('base64url')}.`;
    expect((await ask(none, body)).status).toBe(401);
  });

  test('another function, another method', async () => {
    expect((await f.fetch('/functions/v1/other', { method: 'POST' })).status).toBe(404);
    expect((await f.fetch('/functions/v1/livekit-token')).status).toBe(405);
  });
});

test('without LiveKit it says so: 503', async () => {
  const { startGateway } = await import('../../../../src/local/gateway/gateway.ts');
  const { silentLogger } = await import('../../../../src/kernel/log.ts');
  const gateway = await startGateway({
    host: '127.0.0.1',
    port: 0,
    adminUrl: f.postgres.adminUrl,
    authenticatorUrl: f.postgres.authenticatorUrl,
    jwtSecret: f.jwtSecret,
    apiKeys: f.keys,
    livekit: null,
    quota: null,
    log: silentLogger,
  });
  try {
    const answer = await ask(await tokenOf(viewer), { streamId: stream }, gateway.url);
    expect(answer).toMatchObject({ status: 503, body: { code: 'livekit_missing' } });
    expect((await ask(await tokenOf(banned), { streamId: stream }, gateway.url)).status).toBe(403);
  } finally {
    await gateway.stop();
  }
});
