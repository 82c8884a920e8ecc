import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoStreamId, putDemoStream } from '../../../src/provision/demo-stream.ts';
import { AppStage } from './app-stage.ts';

let stage: AppStage;
let parent: string;

beforeAll(async () => {
  parent = await mkdtemp(path.join(os.tmpdir(), 'trollfix-demo-site-'));
  await chmod(parent, 0o755);
  const dir = path.join(parent, 'site');
  await mkdir(dir);
  await writeFile(path.join(dir, 'index.html'), '<!doctype html><title>demo</title>');
  await writeFile(path.join(dir, 'main.js'), '// demo');
  await writeFile(path.join(dir, '.env.js'), 'hidden');
  await writeFile(path.join(parent, 'secret.js'), 'outside');
  stage = await AppStage.start({ dir, streamId: demoStreamId });
});

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  await rm(parent, { recursive: true, force: true });
});

/** The path goes out as it stands: fetch would tidy it up. */
function get(requestPath: string, method = 'GET'): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(stage.url);
    const request = http.request({ hostname, port, path: requestPath, method }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.on('error', reject).end();
  });
}

const collect = (token: string) =>
  fetch(`${stage.url}/demo/coins`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });

describe('the page', () => {
  test('comes with rules that allow nothing but itself', async () => {
    const response = await fetch(`${stage.url}/demo`);
    expect(response.url).toBe(`${stage.url}/demo/`);
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe| \*|https:/);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await response.text()).toContain('<title>demo');
  });

  test('is told the key that everybody may know, and its stream', async () => {
    const response = await fetch(`${stage.url}/demo/config.json`);
    expect(await response.json()).toEqual({ anonKey: stage.anonKey, streamId: demoStreamId });
  });

  test.each([
    '/demo/../secret.js',
    '/demo/..%2fsecret.js',
    '/demo/%2e%2e/secret.js',
    '/demo/..\\secret.js',
    '/demo//etc/passwd',
    '/demo/.env.js',
    '/demo/main.js/',
    '/demo/main',
    '/demo/nothing.js',
  ])('%s is not there', async (requestPath) => {
    expect(await get(requestPath)).toMatchObject({ status: 404 });
  });

  test('is for reading only', async () => {
    expect(await get('/demo/main.js', 'HEAD')).toEqual({ status: 200, text: '' });
    expect(await get('/demo/main.js', 'PUT')).toMatchObject({ status: 405 });
  });
});

describe('demo coins', () => {
  test('are given once, as a deposit in the books', async () => {
    const { users } = await stage.database.realPeople(1, 1);
    const [user = ''] = users;
    const token = stage.token(user);
    const answers = await Promise.all([collect(token), collect(token), collect(token)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await (await collect(token)).json()).toEqual({ message: 'You have had your demo coins.' });
    expect(await stage.database.one('select balance from wallets where user_id = $1', [user])).toBe('1501');
    const deposits = "select sum(amount) from wallet_deposits where user_id = $1 and reason = 'demo coins'";
    expect(await stage.database.one(deposits, [user])).toBe('1500');
  });

  test.each([
    ['nobody', () => ''],
    ['the anon key', () => stage.anonKey],
    ['a forged token', () => `${stage.token(demoStreamId).slice(0, -4)}AAAA`],
    ['a token that is over', () => stage.token(demoStreamId, -3600)],
  ])('are not for %s', async (_, token) => {
    expect((await collect(token())).status).toBe(401);
  });

  test('are not for somebody who has no wallet', async () => {
    const response = await collect(stage.token('00000000-0000-4000-8000-000000000000'));
    expect(response.status).toBe(404);
  });
});

test('the demo stream is put there once, live again and at the address of this start', async () => {
  const { databaseUrl } = stage.database.postgres;
  await putDemoStream(databaseUrl, 'http://127.0.0.1:1/live/master.m3u8');
  await stage.database.pool.query("update streams set status = 'ended' where id = $1", [demoStreamId]);
  await putDemoStream(databaseUrl, 'http://127.0.0.1:2/live/master.m3u8');
  const { rows } = await stage.database.pool.query(
    'select s.status, s.hls_url, s.run_id, p.username from streams s join profiles p on p.id = s.owner_id where s.id = $1',
    [demoStreamId],
  );
  expect(rows).toEqual([
    {
      status: 'live',
      hls_url: 'http://127.0.0.1:2/live/master.m3u8',
      run_id: null,
      username: 'trollfix-demo-host',
    },
  ]);
});
