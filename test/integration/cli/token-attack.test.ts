import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runFake } from '../../unit/cli/fake-host.ts';
import { type LeakyEndpoint, startLeakyEndpoint } from '../probes/token/leaky-endpoint.ts';

const cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-attack-'));
let endpoint: LeakyEndpoint;
beforeAll(async () => {
  endpoint = await startLeakyEndpoint();
  const { viewer, speaker, banned } = endpoint.scene.people;
  writeFileSync(path.join(cwd, 'viewer.jwt'), `${viewer?.jwt}\n`);
  const sessions = { viewer: viewer?.jwt, speaker: speaker?.jwt, banned: banned?.jwt };
  writeFileSync(path.join(cwd, 'sessions.json'), JSON.stringify(sessions));
});
beforeEach(() => {
  endpoint.leak = null;
});
afterAll(async () => {
  rmSync(cwd, { recursive: true, force: true });
  await endpoint[Symbol.asyncDispose]();
});

interface AttackData {
  readonly asked: string;
  readonly verdict: string;
  readonly held: number;
  readonly cases: Array<{
    name: string;
    verdict: string;
    why: string[];
    claims: Record<string, unknown> | null;
  }>;
}

async function attack(...args: string[]) {
  const ran = await runFake(['token', 'attack', endpoint.url, ...args, '--json'], { cwd });
  expect(ran.stdout + ran.stderr).not.toMatch(/eyJ[\w-]{6}/);
  return { ...ran, data: ran.json().data as AttackData };
}

const stream = () => endpoint.scene.stream;

describe('token attack on an endpoint that nobody configured', () => {
  it('holds: 0, with what could not be asked and why', async () => {
    const { code, data } = await attack('--stream', stream(), '--session', 'viewer.jwt');
    expect(code).toBe(0);
    expect(data).toMatchObject({ asked: 'session', verdict: 'held' });
    expect(data.held).toBeGreaterThan(70);
    expect(data.cases).toContainEqual(
      expect.objectContaining({
        name: 'a banned user',
        verdict: 'inconclusive',
        why: ['needs the session of a banned user (`banned`)'],
      }),
    );
  });

  it('is breached: 99, with the claims and never the token', async () => {
    endpoint.leak = 'obeys-identity';
    const { code, data, json } = await attack('--stream', stream(), '--session', 'viewer.jwt');
    expect(code).toBe(99);
    expect(json().error).toMatchObject({ code: 'TF-TOK-004' });
    const alias = data.cases.find(({ name }) => name === 'an alias of oneself');
    expect(alias).toMatchObject({
      verdict: 'breached',
      claims: { identity: `${endpoint.scene.people.viewer?.id}#x`, room: stream() },
    });
  });

  it('takes several sessions at once, and then judges what needs them', async () => {
    endpoint.leak = 'forgets-bans';
    const { code, data } = await attack('--stream', stream(), '--session', 'sessions.json');
    expect(code).toBe(99);
    const breached = data.cases.filter(({ verdict }) => verdict === 'breached');
    expect(breached.map(({ name }) => name)).toEqual(['a banned user', 'a banned user asking to publish']);
  });

  it('takes the session from stdin or the environment, and another form of asking', async () => {
    const session = endpoint.scene.people.viewer?.jwt ?? '';
    const args = ['token', 'attack', endpoint.url, '--stream', stream(), '--json'];
    const template = ['--body-template', '{"stream_id":"{room}"}', '--token-field', 'token'];
    const byStdin = await runFake([...args, ...template, '--session', '-'], { cwd, stdin: session });
    expect(byStdin.code, byStdin.stderr).toBe(0);
    const byEnv = await runFake(args, { cwd, env: { TROLLFIX_SESSION: session } });
    expect(byEnv.code, byEnv.stderr).toBe(0);
  });

  it.each([
    ['a room that does not exist', ['--stream', 'lobby', '--session', 'viewer.jwt']],
    [
      'a token that stands elsewhere',
      ['--stream', 'x', '--session', 'viewer.jwt', '--token-field', 'data.jwt'],
    ],
    ['nobody asking', ['--stream', 'x']],
  ])('nothing could be judged is no pass: 98 for %s', async (_what, args) => {
    const { code, json, data } = await attack(...args);
    expect(code).toBe(98);
    expect(json().error).toMatchObject({ code: 'TF-TOK-005' });
    expect(data.verdict).toBe('inconclusive');
  });
});

describe('what is refused before anything is asked', () => {
  it.each<[string, string[], number, string]>([
    ['another host', ['https://tokens.example.com/t', '--stream', 'a'], 5, 'TF-SAFE-001'],
    ['no address', ['ftp://127.0.0.1/t', '--stream', 'a'], 2, 'TF-CLI-004'],
    [
      'two addresses',
      ['http://127.0.0.1:9/a', '--url', 'http://127.0.0.1:9/b', '--stream', 'a'],
      2,
      'TF-CLI-003',
    ],
    [
      'a body that is no JSON',
      ['http://127.0.0.1:9/a', '--stream', 'a', '--body-template', '{'],
      2,
      'TF-CLI-004',
    ],
    [
      'a body for a GET',
      ['http://127.0.0.1:9/a', '--stream', 'a', '--method', 'GET', '--body-template', '{}'],
      2,
      'TF-CLI-003',
    ],
    [
      'a session in a header',
      ['http://127.0.0.1:9/a', '--stream', 'a', '--auth-header', 'Cookie: s=abc'],
      2,
      'TF-CLI-004',
    ],
    ['a session without a room', ['http://127.0.0.1:9/a', '--session', 'viewer.jwt'], 2, 'TF-CLI-003'],
    [
      'a session file that is not there',
      ['http://127.0.0.1:9/a', '--stream', 'a', '--session', 'none'],
      2,
      'TF-CFG-001',
    ],
  ])('%s', async (_what, args, code, error) => {
    const ran = await runFake(['token', 'attack', ...args, '--json'], { cwd });
    expect([ran.code, ran.json().error?.code]).toEqual([code, error]);
  });

  it('sessions of parts that nobody plays get the nearest', async () => {
    const sessions = JSON.stringify({ viwer: 'secret-of-somebody' });
    const args = ['token', 'attack', endpoint.url, '--stream', 'a', '--session', '-', '--json'];
    const ran = await runFake(args, { cwd, stdin: sessions });
    expect(ran.code).toBe(2);
    expect(ran.json().error?.hint).toContain('viewer');
    expect(ran.stdout + ran.stderr).not.toContain('secret-of-somebody');
  });

  it('a configured host takes limits and its name', async () => {
    const target = (limits: string) =>
      `targets:\n  far:\n    supabaseUrl: https://far.example.com\n    anonKey: k\n    tokenEndpoint: https://far.example.com/t\n${limits}`;
    writeFileSync(path.join(cwd, 'trollfix.yaml'), target(''));
    const line = [
      'token',
      'attack',
      'https://far.example.com/t',
      '--stream',
      'a',
      '--target',
      'far',
      '--json',
    ];
    const without = await runFake(line, { cwd });
    expect([without.code, without.json().error?.code]).toEqual([5, 'TF-SAFE-001']);
    writeFileSync(path.join(cwd, 'trollfix.yaml'), target('    limits: { maxRate: 20/s, maxUsers: 10 }\n'));
    const unnamed = await runFake(line, { cwd });
    expect(unnamed.code).toBe(5);
    rmSync(path.join(cwd, 'trollfix.yaml'));
  });
});

describe('token inspect', () => {
  it('reads a file, and tells in words what the defaults of LiveKit come to', async () => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: 'k', sub: 'ada', nbf: 1_000, exp: 1_060, video: { roomJoin: true, room: 'lobby' } };
    writeFileSync(path.join(cwd, 'livekit.jwt'), `${part({ alg: 'HS256' })}.${part(claims)}.AAAA\n`);
    const ran = await runFake(['token', 'inspect', '--file', 'livekit.jwt'], { cwd });
    expect(ran.code).toBe(99);
    expect(ran.stdout).toContain("canPublish (not stated: LiveKit's default)");
    expect(ran.stdout).toContain('publish from any source');
    expect(ran.stdout).toContain('1970-01-01T00:18:40.000Z');
    const json = await runFake(['token', 'inspect', '--file', 'livekit.jwt', '--json'], { cwd });
    expect(json.json().data).toMatchObject({
      signature: 'not_checked',
      expired: true,
      acceptedUntil: '1970-01-01T00:18:40.000Z',
      permissions: expect.arrayContaining([
        { grant: 'canPublish', allowed: true, stated: false },
        { grant: 'canUpdateOwnMetadata', allowed: false, stated: false },
      ]),
    });
  });

  it('the token or a file, not both', async () => {
    const ran = await runFake(['token', 'inspect', 'a.b.c', '--file', 'x', '--json'], { cwd });
    expect([ran.code, ran.json().error?.code]).toEqual([2, 'TF-CLI-003']);
  });
});
