import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clockSlackMs,
  ejectionOf,
  judgeSeat,
  nextTurnMs,
  type SeatFacts,
} from '../../../src/app/seat-state.ts';

const nowMs = Date.parse('2026-03-01T12:00:00Z');
const at = (ms: number) => new Date(nowMs + ms).toISOString();

const seat = (changes: Partial<NonNullable<SeatFacts['seat']>> = {}) => ({
  role: 'speaker',
  canPublish: true,
  state: 'active',
  grantedAt: at(-60_000),
  expiresAt: null,
  reason: null,
  ...changes,
});

const judge = (facts: Partial<SeatFacts>) => judgeSeat({ seat: null, ban: null, ...facts }, nowMs);

describe('judgeSeat', () => {
  test('an active row with time left is a seat, to the millisecond', () => {
    expect(judge({ seat: seat({ expiresAt: at(1) }) })).toMatchObject({ status: 'seated', canPublish: true });
    expect(judge({ seat: seat({ expiresAt: at(0) }) })).toMatchObject({ status: 'lost', cause: 'expired' });
  });

  test('a downgraded seat is a seat that cannot publish', () => {
    expect(judge({ seat: seat({ canPublish: false }) })).toMatchObject({
      status: 'seated',
      canPublish: false,
    });
  });

  test('a ban goes before any seat, until a moment after its end', () => {
    const ban = (until: string | null) => judge({ seat: seat(), ban: { reason: 'spam', until } }).status;
    expect(ban(null)).toBe('banned');
    expect(ban(at(60_000))).toBe('banned');
    expect(ban(at(-clockSlackMs + 1))).toBe('banned');
    expect(ban(at(-clockSlackMs))).toBe('seated');
  });

  test.each(['', 'infinity', 'yesterday', 'suspended'])(
    'what cannot be understood fails closed: %j',
    (odd) => {
      expect(judge({ seat: seat({ expiresAt: odd }) }).status).toBe('lost');
      expect(judge({ seat: seat({ state: odd }) }).status).toBe('lost');
      expect(judge({ ban: { reason: null, until: odd } }).status).toBe('banned');
    },
  );
});

describe('ejectionOf', () => {
  const seated = judge({ seat: seat() });
  const none = judge({});
  const expired = judge({ seat: seat({ expiresAt: at(-1) }) });
  const banned = judge({ ban: { reason: 'spam', until: null } });
  const revoked = judge({ seat: seat({ state: 'revoked' }), ban: { reason: 'spam', until: null } });

  test.each([
    [seated, revoked, 'revoked'],
    [seated, expired, 'expired'],
    [seated, none, 'removed'],
    [none, banned, 'banned'],
    [expired, banned, 'banned'],
    [{ status: 'loading' } as const, banned, 'banned'],
  ])('%j → %j is an ejection', (before, after, cause) => {
    expect(ejectionOf(before, after)?.cause).toBe(cause);
  });

  test.each([
    [revoked, banned],
    [banned, expired],
    [banned, none],
    [none, seated],
    [{ status: 'loading' } as const, expired],
    [{ status: 'loading' } as const, none],
    [seated, judge({ seat: seat({ canPublish: false }) })],
  ])('%j → %j is none', (before, after) => {
    expect(ejectionOf(before, after)).toBeUndefined();
  });
});

test('between now and the next turn nothing changes, and at the turn something does', () => {
  const time = fc.option(fc.integer({ min: -5_000, max: 5_000 }).map(at));
  const facts = fc.record({
    seat: fc.option(
      fc.record({
        role: fc.constant('speaker'),
        canPublish: fc.boolean(),
        state: fc.constantFrom('active', 'revoked', 'expired'),
        grantedAt: fc.constant(at(-60_000)),
        expiresAt: time,
        reason: fc.constant(null),
      }),
    ),
    ban: fc.option(fc.record({ reason: fc.constant(null), until: time })),
  });
  fc.assert(
    fc.property(facts, (one) => {
      const turnMs = nextTurnMs(one, nowMs);
      const before = judgeSeat(one, nowMs);
      expect(judgeSeat(one, (turnMs ?? nowMs + 10_000_000) - 1)).toEqual(before);
      // a seat that ends under a ban shows once the ban is over
      if (turnMs !== undefined && one.ban === null) expect(judgeSeat(one, turnMs)).not.toEqual(before);
    }),
  );
});
