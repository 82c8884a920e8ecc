import { openDatabase } from '../target/postgres/pool.ts';
import { type ProvisionOptions, type ProvisionResult, provision } from './provision.ts';

/**
 * Provisions the database behind a URL, over connections of its own.
 * @throws TF-DB-001, TF-DB-002, TF-PROV-*
 */
export async function provisionUrl(databaseUrl: string, options: ProvisionOptions): Promise<ProvisionResult> {
  // one works, one waits for the lock that keeps two provisions apart
  const pool = openDatabase(databaseUrl, { max: 2, applicationName: 'trollfix provision' });
  try {
    return await provision(pool, options);
  } finally {
    await pool.end();
  }
}
