import type pg from 'pg';
import { sleep } from '../../../../kernel/clock.ts';
import { snapshotSql } from './changes.sql.ts';
import { Snapshot } from './snapshot.ts';

const pollMs = 0.5; // the gap was never seen above a few ms on a healthy server

/**
 * Waits until new statements see all of these transactions. The stream is ahead of visibility: a commit is
 * decoded from the WAL before its transaction leaves the list of running ones, and reading a row by its key
 * in that gap finds nothing, so the event would be lost for whoever row security is checked for. Every
 * transaction of a batch has to be waited for: commits do not come in the order of xids.
 *
 * @returns false when some were still invisible after `maxMs`
 */
export async function waitUntilVisible(
  pool: pg.Pool,
  xids: ReadonlySet<number>,
  maxMs: number,
): Promise<boolean> {
  const deadlineMs = performance.now() + maxMs;
  let pending = [...xids];
  while (true) {
    const result = await pool.query<{ snapshot: string }>({ name: 'gw_snapshot', text: snapshotSql });
    const snapshot = new Snapshot(result.rows[0]?.snapshot ?? '');
    pending = pending.filter((xid) => !snapshot.sees(xid));
    if (pending.length === 0) return true;
    if (performance.now() >= deadlineMs) return false;
    await sleep(pollMs);
  }
}
