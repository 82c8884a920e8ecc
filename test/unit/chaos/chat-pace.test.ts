import { describe, expect, it } from 'vitest';
import { checkAcknowledged, checkPace } from '../../../src/chaos/checkers/chat-pace.ts';

const message = (id: string, userId: string, createdAtMs: number) => ({ id, userId, createdAtMs });

describe('the pace checker', () => {
  it('passes one message a second, and two users at the same time', () => {
    const result = checkPace([
      message('1', 'a', 0),
      message('2', 'a', 1000),
      message('3', 'b', 10),
      message('4', 'b', 1950),
    ]);
    expect(result).toMatchObject({ checked: 2, violations: 0 });
  });

  it('catches two messages of one user that are too close, in whatever order they are listed', () => {
    const result = checkPace([message('1', 'a', 1500), message('2', 'a', 900), message('3', 'a', 3000)]);
    expect(result).toMatchObject({ checked: 2, violations: 1 });
    expect(result.details[0]).toContain('600 ms');
  });

  it('checks nothing when there is nothing, which is no pass', () => {
    expect(checkPace([]).checked).toBe(0);
  });
});

describe('the acknowledgement checker', () => {
  it('catches a message that was acknowledged and lost, and one that was refused and stored', () => {
    const stored = [message('kept', 'a', 0), message('refused', 'a', 5000)];
    const result = checkAcknowledged(stored, new Set(['kept', 'lost']), new Set(['refused', 'gone']));
    expect(result.checked).toBe(4);
    expect(result.details).toEqual(['acknowledged but not stored: lost', 'refused but stored: refused']);
  });
});
