import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { platformStatements } from '../../../src/local/gateway/platform/platform.ts';
import { applyPlatform } from '../../../src/local/platform-sql.ts';
import { databaseUrl, postgresService, superuserUrl } from '../../../src/local/postgres.ts';
import { postgresDataDir } from '../../../src/local/postgres-cluster.ts';
import { Service } from '../../../src/local/service.ts';
import { unprivilegedUser } from '../../../src/local/unprivileged-user.ts';
import { makeTempStateDir } from './temp-state.ts';

export interface TestPostgres extends AsyncDisposable {
  /** As `supabase_admin`, the superuser. */
  readonly adminUrl: string;
  /** As `postgres`, the owner of the database, which migrations run as. */
  readonly databaseUrl: string;
  /** As `authenticator`, the role of the gateway's requests. */
  readonly authenticatorUrl: string;
  readonly port: number;
  /** The server itself, to be killed and started again. */
  readonly service: Service;
  stop(): Promise<void>;
}

/** A real PostgreSQL 17 with the platform's SQL applied, in a folder of its own; about a second. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const temp = await makeTempStateDir();
  const [adminPassword, authenticatorPassword, postgresPassword] = Array.from({ length: 3 }, () =>
    randomBytes(12).toString('hex'),
  ) as [string, string, string]; // three were asked for
  const service = new Service(
    postgresService({
      dataDir: await postgresDataDir(temp.dir, await unprivilegedUser()),
      logFile: path.join(temp.dir, 'postgres.log'),
      adminPassword,
    }),
    () => {},
    () => {},
  );
  const stop = async () => {
    await service.stop();
    await temp.remove();
  };
  try {
    await service.start(AbortSignal.timeout(60_000));
    const port = service.port as number; // a started PostgreSQL has one
    const adminUrl = superuserUrl(port, adminPassword);
    await applyPlatform(adminUrl, platformStatements({ authenticatorPassword, postgresPassword }));
    return {
      adminUrl,
      databaseUrl: databaseUrl('postgres', postgresPassword, port),
      authenticatorUrl: databaseUrl('authenticator', authenticatorPassword, port),
      port,
      service,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
