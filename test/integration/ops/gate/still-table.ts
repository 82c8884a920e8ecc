import type { GateTable } from '../../../../src/ops/guard/gate-judge.ts';
import type { SeatChange, Standing } from '../../../../src/ops/guard/seat-table.ts';

export interface StillTable extends GateTable {
  /** What it says of everybody on every stream. */
  all: Standing;
  change(standing: Partial<Standing>): void;
}

/** A seat table that says what the test says: for what the gate does with it, not how it comes to be. */
export function stillTable(): StillTable {
  const listeners = new Set<(change: SeatChange) => void>();
  const table: StillTable = {
    all: { current: true, ban: null, seat: { canPublish: true, expiresAtMs: null } },
    standing: () => table.all,
    nowMs: () => Date.now(),
    settled: async () => true,
    refresh: async () => true,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    change(standing) {
      table.all = { ...table.all, ...standing };
      for (const listener of listeners) listener('all');
    },
  };
  return table;
}
