import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentProgress } from '../../../../src/kernel/log.ts';
import { answersHttp, liveKitService } from '../../../../src/local/livekit.ts';
import { cachedBinary, findLiveKit } from '../../../../src/local/livekit-binary.ts';
import { Service } from '../../../../src/local/service.ts';
import { isLoopback, listenersOf } from '../../harness/listeners.ts';
import { testLiveKitSearch } from '../../harness/livekit.ts';
import { makeTempStateDir } from '../../harness/temp-state.ts';

let temp: Awaited<ReturnType<typeof makeTempStateDir>>;
const signal = () => AbortSignal.timeout(60_000);

beforeEach(async () => {
  temp = await makeTempStateDir();
});

afterEach(() => temp.remove());

async function startLiveKit(onExit: (service: Service) => void = () => {}): Promise<Service> {
  const binary = await findLiveKit(testLiveKitSearch(), silentProgress, AbortSignal.timeout(900_000));
  if (!binary.found) throw new Error(binary.reason);
  const service = new Service(
    liveKitService({
      bin: binary.path,
      version: binary.version,
      logFile: path.join(temp.dir, 'livekit.log'),
      apiKey: 'APItest',
      apiSecret: '0123456789abcdef0123456789abcdef',
    }),
    () => {},
    onExit,
  );
  await service.start(signal());
  return service;
}

test('a real server on loopback only, TCP and UDP; restarted on the same port after a kill', async () => {
  const deaths: string[] = [];
  const service = await startLiveKit((dead) => deaths.push(dead.reason ?? ''));
  try {
    const listeners = listenersOf([service.pid as number]);
    expect(listeners.map((listener) => listener.protocol).sort()).toEqual(['tcp', 'udp']);
    expect(listeners.filter((listener) => !isLoopback(listener))).toEqual([]);
    const { url } = service;
    service.kill('SIGKILL');
    await expect.poll(() => deaths).toEqual([expect.stringContaining('SIGKILL')]);
    expect(await answersHttp(url.replace('ws', 'http'))).toBe(false);
    await service.restart(signal());
    expect(service.url).toBe(url);
    expect(await answersHttp(url.replace('ws', 'http'))).toBe(true);
  } finally {
    await service.stop();
  }
});

test('a stop right after the start is not swallowed', async () => {
  const service = await startLiveKit();
  const { url } = service;
  await service.stop();
  expect(service.pid).toBeNull();
  expect(await answersHttp(url.replace('ws', 'http'))).toBe(false);
});

test('nowhere and no Go: missing, with the way to get it', async () => {
  const search = { cacheDir: temp.dir, allowBuild: true, pathEnv: '' };
  const binary = await findLiveKit(search, silentProgress, signal());
  expect(binary).toMatchObject({ found: false, reason: expect.stringContaining('TROLLFIX_LIVEKIT_BIN') });
});

test('a cache that cannot be written to is a reason like any other', async () => {
  const cacheDir = path.join(temp.dir, 'a-file');
  await writeFile(cacheDir, '');
  const go = path.join(temp.dir, 'go');
  await writeFile(go, '#!/bin/sh\nexit 0\n');
  await chmod(go, 0o755);
  const binary = await findLiveKit(
    { cacheDir, allowBuild: true, pathEnv: temp.dir },
    silentProgress,
    signal(),
  );
  expect(binary).toMatchObject({ found: false, reason: expect.stringContaining('ENOTDIR') });
});

test('one that is named is that one or none', async () => {
  const named = path.join(temp.dir, 'nothing-here');
  const binary = await findLiveKit({ ...testLiveKitSearch(), bin: named }, silentProgress, signal());
  expect(binary).toMatchObject({ found: false, reason: expect.stringContaining(named) });
});

test('a program of that name that is not livekit-server is not taken for it', async () => {
  const file = cachedBinary(temp.dir);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, '#!/bin/sh\necho something else\n');
  await chmod(file, 0o755);
  const binary = await findLiveKit(
    { cacheDir: temp.dir, allowBuild: false, pathEnv: '' },
    silentProgress,
    signal(),
  );
  expect(binary).toMatchObject({ found: false, reason: expect.stringContaining('is not livekit-server') });
  await rm(file);
});

test('a server that cannot start is an error with its last line, whatever its exit code', async () => {
  const file = path.join(temp.dir, 'livekit-server');
  await writeFile(file, '#!/bin/sh\necho "listen udp 127.0.0.1:1: no such luck error"\nsleep 0.3\nexit 0\n');
  await chmod(file, 0o755);
  const service = new Service(
    liveKitService({
      bin: file,
      version: '1.11.0',
      logFile: path.join(temp.dir, 'livekit.log'),
      apiKey: 'APItest',
      apiSecret: '0123456789abcdef0123456789abcdef',
    }),
    () => {},
    () => {},
  );
  await expect(service.start(signal())).rejects.toMatchObject({
    code: 'TF-STK-002',
    message: expect.stringContaining('no such luck'),
  });
  await service.stop();
});
