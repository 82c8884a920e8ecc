import pg from 'pg';
import { messageOf, TrollfixError } from '../kernel/errors.ts';

/** One statement of the platform's SQL is catalogue work: milliseconds, seconds on a starved machine. */
const statementMs = 30_000;

/**
 * Runs idempotent statements as the superuser, in order and each by itself.
 * @throws TF-STK-002 naming the statement by its first words
 */
export async function applyPlatform(adminUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({
    connectionString: adminUrl,
    connectionTimeoutMillis: 5000,
    query_timeout: statementMs,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    for (const statement of statements) {
      await client.query(statement).catch((error: unknown) => {
        throw new TrollfixError('TF-STK-002', `the platform's SQL failed: ${messageOf(error)}`, {
          why: `in: ${statement.trim().slice(0, 80).replaceAll(/\s+/g, ' ')}…`,
          cause: error,
        });
      });
    }
  } finally {
    await client.end().catch(() => {});
  }
}
