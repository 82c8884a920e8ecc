import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { postgresService, superuserUrl } from '../../../../src/local/postgres.ts';
import { postgresDataDir } from '../../../../src/local/postgres-cluster.ts';
import { isAlive, postgresProcessesIn } from '../../../../src/local/process-identity.ts';
import { Service } from '../../../../src/local/service.ts';
import { unprivilegedUser } from '../../../../src/local/unprivileged-user.ts';
import { isLoopback, listenersOf, processTree } from '../../harness/listeners.ts';
import { makeTempStateDir } from '../../harness/temp-state.ts';

let temp: Awaited<ReturnType<typeof makeTempStateDir>>;
let dataDir: string;
let service: Service;
const deaths: string[] = [];

beforeEach(async () => {
  temp = await makeTempStateDir();
  dataDir = await postgresDataDir(temp.dir, await unprivilegedUser());
  service = newService();
  deaths.length = 0;
});

afterEach(async () => {
  await service.stop();
  await temp.remove();
});

function newService(): Service {
  return new Service(
    postgresService({ dataDir, logFile: path.join(temp.dir, 'postgres.log'), adminPassword: 'secret1' }),
    () => {},
    (dead) => deaths.push(dead.reason ?? ''),
  );
}

const start = () => service.start(AbortSignal.timeout(60_000));

async function query(sql: string): Promise<string> {
  const client = new pg.Client({ connectionString: superuserUrl(service.port as number, 'secret1') });
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: 'array' });
    return String(rows[0]?.[0]);
  } finally {
    await client.end();
  }
}

describe('PostgreSQL', () => {
  test('is what the platform needs, durable, and listens on loopback only', async () => {
    await start();
    expect(await query('show server_version')).toBe(service.version);
    expect(await query('show wal_level')).toBe('logical');
    expect(await query('show fsync')).toBe('on');
    expect(await query('show unix_socket_directories')).toBe('');
    const listeners = listenersOf(processTree(service.pid as number));
    expect(listeners).toContainEqual({ protocol: 'tcp', address: '0100007F', port: service.port });
    expect(listeners.filter((listener) => !isLoopback(listener))).toEqual([]);
  });

  test('keeps its data and its port over a stop, and over a kill -9 with sessions open', async () => {
    await start();
    const { port } = service;
    await query('create table kept as select 42 as answer');
    const session = new pg.Client({ connectionString: superuserUrl(port as number, 'secret1') });
    session.on('error', () => {});
    await session.connect();
    service.kill('SIGKILL');
    await service.restart(AbortSignal.timeout(60_000));
    expect(service.port).toBe(port);
    expect(await query('select answer from kept')).toBe('42');
    await service.restart(AbortSignal.timeout(60_000));
    expect(await query('select answer from kept')).toBe('42');
    await session.end().catch(() => {});
  });

  test('a kill is reported with its reason, a stop is not', async () => {
    await start();
    service.kill('SIGKILL');
    await expect.poll(() => deaths).toEqual([expect.stringContaining('SIGKILL')]);
    expect(service.health).toBe('dead');
    await service.restart(AbortSignal.timeout(60_000));
    await service.stop();
    expect(deaths).toHaveLength(1);
  });

  test('processes that a dead supervisor left behind are ended by the next start', async () => {
    await start();
    const orphan = service.identity as NonNullable<typeof service.identity>;
    // nobody stops the first one: its supervisor is as good as dead
    service = newService();
    await start();
    expect(await isAlive(orphan)).toBe(false);
    expect(postgresProcessesIn(dataDir)).toContain(service.pid);
    expect(await query('select 1')).toBe('1');
  });

  test('a lock file that names a stranger is taken away and the stranger let be', async () => {
    await start();
    await service.stop();
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      await writeFile(path.join(dataDir, 'postmaster.pid'), `${stranger.pid}\n${dataDir}\n1700000000\n`);
      await start();
      expect(await query('select 1')).toBe('1');
      expect(stranger.exitCode).toBeNull();
      expect(stranger.signalCode).toBeNull();
    } finally {
      stranger.kill('SIGKILL');
    }
  });

  test('a data directory of another version is refused and not touched', async () => {
    await start();
    await service.stop();
    await writeFile(path.join(dataDir, 'PG_VERSION'), '12\n');
    await expect(start()).rejects.toMatchObject({ code: 'TF-STK-002', why: expect.stringContaining('12') });
  });

  test('another password than the data have is said so at once', async () => {
    await start();
    await service.stop();
    const other = new Service(
      postgresService({ dataDir, logFile: path.join(temp.dir, 'other.log'), adminPassword: 'wrong' }),
      () => {},
      () => {},
    );
    await expect(other.start(AbortSignal.timeout(60_000))).rejects.toThrow('another password');
    expect(postgresProcessesIn(dataDir)).toEqual([]);
    await other.stop();
  });
});
