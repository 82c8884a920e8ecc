import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../../src/kernel/package-root.ts';
import { removePostgresData } from '../../../../src/local/postgres.ts';
import { identityOf, isAlive } from '../../../../src/local/process-identity.ts';
import { type Stack, startStack } from '../../../../src/local/stack.ts';
import { checkStack } from '../../../../src/local/stack-health.ts';
import { stopStack } from '../../../../src/local/stack-reaper.ts';
import {
  readStackState,
  requireStack,
  type StackState,
  stackTarget,
  writeStackState,
} from '../../../../src/local/stack-state.ts';
import { canReach, unprivilegedUser } from '../../../../src/local/unprivileged-user.ts';
import { isLoopback, isTcpPortTaken, listenersOf, processTree } from '../../harness/listeners.ts';
import { testStackOptions } from '../../harness/stack.ts';
import { makeTempStateDir } from '../../harness/temp-state.ts';

let temp: Awaited<ReturnType<typeof makeTempStateDir>>;

beforeEach(async () => {
  temp = await makeTempStateDir();
});

afterEach(async () => {
  await stopStack(temp.dir);
  await temp.remove();
});

const startAll = (): Promise<Stack> => startStack(testStackOptions(temp.dir, { hls: true, livekit: true }));

const stateOf = (): StackState => readStackState(temp.dir) as StackState;

/** Nothing of a stack that was up is left: no process, no listener, no state, no temporary data. */
async function expectGone(state: StackState): Promise<void> {
  for (const { pid, startTime, port, name } of state.services) {
    if (pid !== null && startTime !== null) {
      expect(await isAlive({ pid, startTime }), `${name} (pid ${pid}) lives`).toBe(false);
    }
    if (port !== null) expect(isTcpPortTaken(port), `port ${port} of ${name} is taken`).toBe(false);
  }
  expect(readStackState(temp.dir)).toBeUndefined();
  expect(existsSync(state.dataDir)).toBe(state.persistent);
}

async function supervise(user?: { uid?: number; gid?: number }): Promise<ChildProcess> {
  const entry = fileURLToPath(new URL('./supervisor.ts', import.meta.url));
  // another user cannot reach this one's tool cache, where livekit-server usually is
  const args = [entry, temp.dir, user === undefined ? 'livekit' : 'no-livekit'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], ...user });
  const gone = once(child, 'exit').then(() => {
    throw new Error('the supervisor ended before the stack was up');
  });
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), gone]);
  gone.catch(() => {});
  return child;
}

/** Another user than root to run a supervisor as; this one where it is another already, or alone can reach the code. */
async function normalUser(): Promise<{ uid?: number; gid?: number }> {
  const user = await unprivilegedUser();
  if (user === undefined || !(await canReach(packageRoot, user))) return {};
  await chown(temp.dir, user.uid, user.gid);
  return { uid: user.uid, gid: user.gid };
}

describe('up and down', () => {
  test('every service answers, listens on loopback only, and is gone after a stop; twice', async () => {
    for (let round = 0; round < 2; round++) {
      const stack = await startAll();
      const { state } = stack;
      expect(state.phase).toBe('up');
      expect(state.services.map(({ name, health }) => [name, health])).toEqual([
        ['postgres', 'healthy'],
        ['gateway', 'healthy'],
        ['livekit', 'healthy'],
        ['hls', 'healthy'],
      ]);
      const { supervised, services } = await checkStack(stateOf());
      expect(supervised).toBe(true);
      expect(services.filter((service) => service.health !== 'healthy')).toEqual([]);
      const trees = state.services.flatMap(({ pid }) => processTree(pid as number));
      const listeners = listenersOf(trees);
      expect(listeners.length).toBeGreaterThanOrEqual(5);
      expect(listeners.filter((listener) => !isLoopback(listener))).toEqual([]);
      expect((await stat(path.join(temp.dir, 'stack.json'))).mode & 0o777).toBe(0o600);
      await stack.stop();
      await expectGone(state);
    }
  });

  test('every value of the environment is filled, and the gateway takes its key', async () => {
    await using stack = await startStack(
      testStackOptions(temp.dir, { hls: true, livekit: true, guard: true, provision: true }),
    );
    // this one is started without the demo, which has to be bundled first
    const { DEMO_URL: _, ...env } = stack.state.env;
    for (const [name, value] of Object.entries(env)) expect(value, name).not.toBe('');
    const headers = { apikey: env.SUPABASE_ANON_KEY };
    expect((await fetch(`${env.SUPABASE_URL}/health`)).status).toBe(200);
    expect((await fetch(`${env.SUPABASE_URL}/rest/v1/`, { headers })).status).toBeLessThan(500);
    expect((await fetch(env.HLS_URL)).status).toBe(200);
  });

  test('its guard answers, listens on loopback only, sends clients to its gate, and outlives LiveKit but not its stack', async () => {
    const stack = await startStack(
      testStackOptions(temp.dir, { livekit: true, guard: true, provision: true }),
    );
    try {
      const { state } = stack;
      const guard = state.services.find(({ name }) => name === 'guard');
      expect(guard).toMatchObject({ health: 'healthy', url: expect.stringMatching(/^http:/) });
      const listeners = listenersOf(processTree(guard?.pid as number));
      expect(listeners).toHaveLength(2);
      expect(listeners.filter((listener) => !isLoopback(listener))).toEqual([]);
      expect(stackTarget(state).livekit?.gateUrl).toBe(state.env.LIVEKIT_GATE_URL);
      // no token, so nobody; but a door, and not the admin API
      const gate = state.env.LIVEKIT_GATE_URL.replace(/^ws/, 'http');
      expect((await fetch(`${gate}/rtc/validate`)).status).toBe(401);
      expect((await fetch(`${gate}/twirp/livekit.RoomService/ListRooms`, { method: 'POST' })).status).toBe(
        404,
      );

      // LiveKit away: the guard complains and lives
      stack.service('livekit')?.kill('SIGKILL');
      await expect.poll(async () => (await fetch(`${guard?.url}/healthz`)).status).toBe(503);
      const { services } = await checkStack(stateOf());
      expect(services.filter(({ health }) => health === 'dead').map(({ name }) => name)).toEqual(['livekit']);
      await stack.stop();
      await expectGone(state);
    } finally {
      await stack.stop();
    }
  });

  test('without livekit-server and without Go everything else works, and it is said how to get it', async () => {
    await using stack = await startStack({
      ...testStackOptions(temp.dir, { hls: true, guard: true }),
      livekit: { cacheDir: path.join(temp.dir, 'cache'), allowBuild: true, pathEnv: '' },
    });
    const livekit = stack.state.services.find((service) => service.name === 'livekit');
    expect(livekit).toMatchObject({
      health: 'missing',
      reason: expect.stringContaining('TROLLFIX_LIVEKIT_BIN'),
    });
    expect(stack.state.env).toMatchObject({ LIVEKIT_URL: '', LIVEKIT_GATE_URL: '' });
    const { services } = await checkStack(stack.state);
    expect(services.map(({ name, health }) => [name, health])).toEqual([
      ['postgres', 'healthy'],
      ['gateway', 'healthy'],
      ['livekit', 'missing'],
      ['hls', 'healthy'],
      ['guard', 'missing'],
    ]);
  });

  test('data and keys stay where they are meant to, and are forgotten when asked', async () => {
    const options = { ...testStackOptions(temp.dir), persistent: true };
    const first = await startStack(options);
    const secret = first.state.env.SUPABASE_JWT_SECRET;
    await first.stop();
    const second = await startStack(options);
    expect(second.state.env.SUPABASE_JWT_SECRET).toBe(secret);
    await second.stop();
    const third = await startStack({ ...options, fresh: true });
    expect(third.state.env.SUPABASE_JWT_SECRET).not.toBe(secret);
    await third.stop();
  });

  test('a start that fails leaves nothing behind', async () => {
    let seen: StackState | undefined;
    const start = startStack({
      ...testStackOptions(temp.dir, { hls: true }),
      provision: async () => {
        seen = stateOf();
        throw new Error('no migrations today');
      },
    });
    await expect(start).rejects.toThrow('no migrations today');
    await expectGone(seen as StackState);
  });

  test('a start that is interrupted leaves nothing behind', async () => {
    const interrupt = new AbortController();
    let seen: StackState | undefined;
    const start = startStack({
      ...testStackOptions(temp.dir, { hls: true, livekit: true }),
      signal: interrupt.signal,
      provision: async () => {
        seen = stateOf();
        interrupt.abort(new Error('Ctrl-C'));
      },
    });
    await expect(start).rejects.toThrow('Ctrl-C');
    await expectGone(seen as StackState);
  });
});

describe('whoever runs it', () => {
  test('a normal user, and root may stop what that user started', async () => {
    await supervise(await normalUser());
    const state = stateOf();
    expect((await checkStack(state)).services.filter(({ health }) => health === 'dead')).toEqual([]);
    expect(await stopStack(temp.dir)).toMatchObject({ stopped: true, orphaned: false });
    await expectGone(state);
  });

  test('in a folder that only its owner can walk into', async () => {
    await chmod(temp.dir, 0o700);
    const told: string[] = [];
    const stack = await startStack({
      ...testStackOptions(temp.dir),
      persistent: true,
      progress: (event) => told.push('text' in event ? event.text : ''),
    });
    const { state } = stack;
    expect((await checkStack(state)).services.map(({ health }) => health)).toEqual(['healthy', 'healthy']);
    await stack.stop();
    await expectGone(state);
    await removePostgresData(state.dataDir);
    // root keeps the data elsewhere then: that is said, and nothing is left there when they are removed
    const kept = path.dirname(state.dataDir);
    if (kept === temp.dir) return;
    expect(told).toContainEqual(expect.stringContaining(state.dataDir));
    expect(existsSync(kept)).toBe(false);
  });
});

describe('one supervisor', () => {
  test('a second start is refused and does not disturb the first', async () => {
    await using stack = await startStack(testStackOptions(temp.dir));
    await expect(startStack(testStackOptions(temp.dir))).rejects.toMatchObject({ code: 'TF-STK-006' });
    expect((await checkStack(stack.state)).services.map(({ health }) => health)).toEqual([
      'healthy',
      'healthy',
    ]);
    expect((await requireStack(temp.dir)).phase).toBe('up');
  });

  test('two starts at once: one wins', async () => {
    const results = await Promise.allSettled([1, 2].map(() => startStack(testStackOptions(temp.dir))));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await requireStack(temp.dir)).phase).toBe('up');
  });

  test('a folder whose state cannot be read is taken: nobody waits for it for ever', async () => {
    // what a file of another user's is to a normal one; root, whom tests may run as, reads every file
    const file = path.join(temp.dir, 'stack.json');
    await mkdir(file);
    try {
      expect(() => readStackState(temp.dir)).toThrow(expect.objectContaining({ code: 'TF-STK-007' }));
      await expect(startStack(testStackOptions(temp.dir))).rejects.toMatchObject({ code: 'TF-STK-007' });
    } finally {
      await rmdir(file);
    }
    expect(readStackState(path.join(temp.dir, 'nothing', 'here'))).toBeUndefined();
  });

  test('down from another process, and down twice', async () => {
    const supervisor = await supervise();
    const state = stateOf();
    expect(await stopStack(temp.dir)).toMatchObject({ stopped: true, orphaned: false });
    await expectGone(state);
    // it is gone for the kernel; this process is told of it a turn later
    await expect.poll(() => supervisor.exitCode ?? supervisor.signalCode).not.toBeNull();
    expect(await stopStack(temp.dir)).toEqual({ stopped: false, orphaned: false, services: [] });
  });
});

describe('after a kill -9 of the supervisor', () => {
  async function orphan(): Promise<StackState> {
    const supervisor = await supervise();
    const state = stateOf();
    supervisor.kill('SIGKILL');
    await once(supervisor, 'exit');
    return state;
  }

  test('our own children end by themselves, down ends the others', async () => {
    const state = await orphan();
    const children = state.services.filter(({ name }) => ['gateway', 'hls', 'settler'].includes(name));
    expect(children).toHaveLength(3);
    for (const { pid, startTime } of children) {
      const identity = { pid: pid as number, startTime: startTime as string };
      await expect.poll(() => isAlive(identity), { timeout: 10_000 }).toBe(false);
    }
    await expect(requireStack(temp.dir)).rejects.toMatchObject({ code: 'TF-STK-001' });
    expect((await checkStack(stateOf())).supervised).toBe(false);
    expect(await stopStack(temp.dir)).toMatchObject({ stopped: true, orphaned: true });
    await expectGone(state);
  });

  test('a new start cleans up first', async () => {
    const old = await orphan();
    await using stack = await startAll();
    for (const { pid, startTime } of old.services) {
      expect(await isAlive({ pid: pid as number, startTime: startTime as string })).toBe(false);
    }
    expect((await checkStack(stack.state)).services.every(({ health }) => health === 'healthy')).toBe(true);
  });

  test('pids of a stale state file that belong to strangers now are let be', async () => {
    const state = await orphan();
    await stopStack(temp.dir);
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      const pid = stranger.pid as number;
      const services = state.services.map((service) => ({ ...service, pid }));
      writeStackState(temp.dir, { ...state, supervisor: { ...state.supervisor, pid }, services });
      expect(await stopStack(temp.dir)).toMatchObject({ stopped: true, orphaned: true });
      expect(await isAlive(await identityOf(pid))).toBe(true);
      expect(stranger.signalCode).toBeNull();
    } finally {
      stranger.kill('SIGKILL');
    }
  });
});

describe('a service that dies', () => {
  test.for(['postgres', 'gateway', 'livekit', 'hls'] as const)(
    '%s: told, written down, started again on its port',
    async (name) => {
      await using stack = await startAll();
      const told: string[] = [];
      stack.onServiceExit(({ service, reason }) => told.push(`${service}: ${reason}`));
      const service = stack.service(name);
      if (service === undefined) throw new Error(`${name} was not started`);
      const { url } = service;
      service.kill('SIGKILL');
      await expect.poll(() => told).toEqual([expect.stringMatching(`${name}: killed by SIGKILL`)]);
      const written = stateOf().services.find((one) => one.name === name);
      expect(written).toMatchObject({
        health: 'dead',
        pid: null,
        reason: expect.stringContaining('SIGKILL'),
      });
      await service.restart(AbortSignal.timeout(60_000));
      expect(service.url).toBe(url);
      await expect
        .poll(async () => (await checkStack(stateOf())).services.filter(({ health }) => health !== 'healthy'))
        .toEqual([]);
    },
  );

  test('one that is there and does not answer is seen', async () => {
    await using stack = await startAll();
    const hls = stack.service('hls');
    hls?.kill('SIGSTOP');
    const frozen = (await checkStack(stateOf())).services.find(({ name }) => name === 'hls');
    hls?.kill('SIGCONT');
    expect(frozen).toMatchObject({ health: 'dead', reason: expect.stringContaining('does not answer') });
  });

  test('a settler that cannot work fails the start with what it said', async () => {
    const start = startStack({
      ...testStackOptions(temp.dir),
      settler: { command: '/bin/sh', args: ['-c', 'echo "error: no such command" >&2; exit 2'], env: {} },
    });
    await expect(start).rejects.toMatchObject({
      code: 'TF-STK-002',
      message: expect.stringContaining('no such command'),
    });
    expect(readStackState(temp.dir)).toBeUndefined();
  });

  test('its last log line is the reason', async () => {
    const stack = await startStack({
      ...testStackOptions(temp.dir),
      settler: {
        command: '/bin/sh',
        args: ['-c', 'echo starting; sleep 0.3; echo "fatal: the ledger is on fire" >&2; exit 7'],
        env: {},
      },
    });
    try {
      await expect
        .poll(() => stateOf().services.find(({ name }) => name === 'settler'))
        .toMatchObject({ health: 'dead', reason: 'exit code 7: fatal: the ledger is on fire' });
    } finally {
      await stack.stop();
    }
  });
});
