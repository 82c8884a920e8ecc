import { openDatabase, withConnection } from '../target/postgres/pool.ts';
import { putDemoHostSql, putDemoStreamSql } from './demo-stream.sql.ts';

/** Always the same, so that a page that was left open finds its stream again. Version 8 (RFC 9562): made up. */
export const demoStreamId = '7011f1de-0000-8000-8000-000000000001';
const demoHostId = '7011f1de-0000-8000-8000-000000000002';

/**
 * Puts the demo page's stream and its host into the embedded stack's database. Said again it only brings the HLS
 * address up to date. They are real rows, not a run's: what visitors do there is theirs and stays.
 * @param hlsUrl of the live playlist; '' when there is no HLS origin
 * @throws TF-DB-*
 */
export async function putDemoStream(databaseUrl: string, hlsUrl: string): Promise<void> {
  const pool = openDatabase(databaseUrl, {
    max: 1,
    applicationName: 'trollfix demo',
    statementTimeoutMs: 10_000,
  });
  try {
    await withConnection(pool, async (client) => {
      await client.query(putDemoHostSql, [demoHostId]);
      await client.query(putDemoStreamSql, [demoStreamId, demoHostId, hlsUrl === '' ? null : hlsUrl]);
    });
  } finally {
    await pool.end();
  }
}
