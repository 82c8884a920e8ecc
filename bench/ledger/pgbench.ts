import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

/** Eight, as the goals say: enough that commits share their flushes. */
export const clients = 8;

/** Runs one statement over and over; `?` in it is a number from 0 to 999, drawn anew each time. */
export interface StatementLoop {
  readonly client: string;
  /** Statements per second, over `seconds`. */
  perSecond(statement: (number: string) => string, seconds: number): Promise<number>;
}

/** pgbench where it is installed, as Debian's postgresql package does; the embedded server comes without. */
export function statementLoop(databaseUrl: string, claims: string): StatementLoop {
  const pgbench = ['17', '16', '15']
    .map((v) => `/usr/lib/postgresql/${v}/bin/pgbench`)
    .find((file) => existsSync(file));
  return pgbench === undefined
    ? {
        client: `node-postgres, ${clients} connections`,
        perSecond: (sql, s) => byDriver(databaseUrl, claims, sql('$1::int'), s),
      }
    : {
        client: `pgbench, ${clients} clients`,
        perSecond: (sql, s) => byPgbench(pgbench, databaseUrl, claims, sql(':number'), s),
      };
}

async function byPgbench(
  pgbench: string,
  databaseUrl: string,
  claims: string,
  statement: string,
  seconds: number,
): Promise<number> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'trollfix-bench-'));
  try {
    const script = path.join(dir, 'script.sql');
    await writeFile(script, `\\set number random(0, 999)\n${statement.replaceAll('\n', ' ').trim()};\n`);
    const { stdout } = await promisify(execFile)(
      pgbench,
      ['-n', '-M', 'prepared', '-c', String(clients), '-T', String(seconds), '-f', script, databaseUrl],
      { env: { PGOPTIONS: `-c request.jwt.claims=${claims}` }, timeout: (seconds + 30) * 1000 },
    );
    const [, tps] = /tps = ([\d.]+)/.exec(stdout) ?? [];
    if (tps === undefined || !/number of failed transactions: 0 /.test(stdout))
      throw new Error(`pgbench: ${stdout}`);
    return Number(tps);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function byDriver(
  databaseUrl: string,
  claims: string,
  statement: string,
  seconds: number,
): Promise<number> {
  let done = 0;
  const endsAt = performance.now() + seconds * 1000;
  const work = async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query("select set_config('request.jwt.claims', $1, false)", [claims]);
    for (; performance.now() < endsAt; done++) {
      const number = Math.floor(Math.random() * 1000);
      await client.query({ name: 'loop', text: statement, values: [number] });
    }
    await client.end();
  };
  await Promise.all(Array.from({ length: clients }, work));
  return done / seconds;
}
