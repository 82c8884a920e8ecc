import { describe, expect, it } from 'vitest';
import { alarmsOf, type GuardStatus } from '../../../../src/ops/guard/guard-status.ts';

const enforcer: GuardStatus['enforcer'] = {
  database: { ok: true, message: null },
  livekit: { kind: 'ok' },
  listening: true,
  outbox: { pending: 0, oldestAgeMs: null },
  ejected: 0,
  failed: 0,
  passes: 1,
  failedPasses: 0,
  lastPassAgeMs: 100,
};

function gateWith(pairs: number, pairsLimit: number): NonNullable<GuardStatus['gate']> {
  const counts = { admitted: 0, refused: {}, pending: 0, open: 0, cut: 0 };
  return { ...counts, url: 'ws://127.0.0.1:7890', ready: true, why: null, pairs, pairsLimit };
}

describe('what an operator is told', () => {
  it('nothing while the seat table has room, and that it is filling up before the gate closes', () => {
    expect(alarmsOf({ enforcer, gate: gateWith(159, 200) }, 2_000)).toEqual([]);
    expect(alarmsOf({ enforcer, gate: gateWith(160, 200) }, 2_000)).toEqual([
      'the gate closes at 200 seats and bans on live streams; there are 160',
    ]);
  });
});
