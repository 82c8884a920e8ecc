import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { expect, test } from 'vitest';
import { withDeadline } from '../../../../src/kernel/deadline.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { ReplicationStream } from '../../../../src/local/gateway/realtime/changes/replication-stream.ts';
import { startTestPostgres } from '../../harness/postgres.ts';

/** A start takes about 10 ms: stops fall before, into and after the dialling of its connection. */
const stops = 100;
const stepMs = 0.1;

test('a stop at any moment of a start ends, and leaves no connection', async () => {
  await using database = await startTestPostgres();
  const pool = new pg.Pool({ connectionString: database.adminUrl, max: 2 });
  try {
    await pool.query('select 1');
    for (let i = 0; i < stops; i++) {
      const stream = new ReplicationStream({
        adminUrl: database.adminUrl,
        pool,
        publications: ['supabase_realtime'],
        log: silentLogger,
        onChanges: async () => {},
        onUp: () => {},
        onDown: () => {},
      });
      stream.start();
      const stopAt = performance.now() + i * stepMs;
      // timers are too coarse for this: turns of the event loop are not
      while (performance.now() < stopAt) await new Promise((resolve) => setImmediate(resolve));
      await withDeadline(stream.stop(), 10_000, `the stop ${(i * stepMs).toFixed(1)} ms after the start`);
    }
    const left =
      "select count(*)::int from pg_stat_activity where application_name = 'trollfix realtime stream'";
    await expect.poll(async () => (await pool.query(left)).rows[0].count, { timeout: 10_000 }).toBe(0);
  } finally {
    await pool.end();
  }
});
