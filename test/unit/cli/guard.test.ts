import { describe, expect, it } from 'vitest';
import { guardSpec } from '../../../src/cli/commands/guard.spec.ts';
import { LastOutcomes } from '../../../src/cli/commands/guard-outcomes.ts';

describe('--every', () => {
  const parse = guardSpec.options?.find(({ flags }) => flags.startsWith('--every'))?.parse;

  it.each([
    ['100ms', 100],
    ['2s', 2_000],
    ['1h', 3_600_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parse?.(text)).toBe(ms);
  });

  // 30d overflows a timer, which would then run without pause
  it.each(['0s', '99ms', '61m', '30d'])('%s is refused before anything starts', (text) => {
    expect(() => parse?.(text)).toThrow(expect.objectContaining({ code: 'TF-CLI-004' }));
  });
});

describe('one pass', () => {
  const streamId = 'a2c4e6f8-1b3d-4f5a-8c7e-9d0b1a2c3e4f';
  const clean = { kind: 'clean', removed: ['ada'], confirmedAtMs: 1, cleanAtMs: 1 } as const;
  const failed = { kind: 'returns', removed: ['ada'], stillThere: ['ada'] } as const;

  it('has failed for who is not out at its end, and not for who was out at the second try', () => {
    const outcomes = new LastOutcomes();
    outcomes.note({ streamId, userId: 'ada', outcome: failed });
    outcomes.note({ streamId, userId: 'ada', outcome: clean });
    outcomes.note({ streamId, userId: 'bob', outcome: failed });
    outcomes.note({ streamId, userId: 'bob', outcome: failed });
    outcomes.note({ streamId, userId: 'cal', outcome: clean });
    outcomes.note({ streamId, userId: 'cal', outcome: failed });
    outcomes.note({ streamId, userId: 'dan', outcome: { kind: 'obsolete' } });
    expect(outcomes.unfinished, 'bob and cal').toBe(2);
  });
});
