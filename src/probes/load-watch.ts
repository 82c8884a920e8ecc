import type { IntervalRow } from '../engine/load-result.ts';
import type { ProbeContext } from './probe.ts';

/** Writes each second of a run into the series file and tells whoever watches. */
export function watchLoad(
  ctx: ProbeContext,
  probe: string,
  seriesName: string,
  totalMs: number,
): (row: IntervalRow) => void {
  let beforeS = 0;
  return (row) => {
    ctx.series(seriesName, { ...row });
    const seconds = Math.max(0.001, row.t - beforeS);
    beforeS = row.t;
    const { p50, p95, p99 } = row;
    ctx.progress({
      kind: 'load',
      probe,
      elapsedMs: row.t * 1000,
      totalMs,
      offeredPerS: row.offered / seconds,
      achievedPerS: row.ok / seconds,
      latencyMs: p50 === null || p95 === null || p99 === null ? null : { p50, p95, p99 },
      errors: row.errors + row.timeouts + row.rejected,
    });
  };
}
