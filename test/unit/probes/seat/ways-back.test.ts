import { describe, expect, it } from 'vitest';
import type { ReadmissionFindings, SessionFinding } from '../../../../src/probes/seat/readmission.ts';
import { summarise } from '../../../../src/probes/seat/verify.ts';
import {
  type Control,
  findingsOf,
  type WayBackSample,
  waysBack,
} from '../../../../src/probes/seat/ways-back.ts';

function sample(changes: Partial<WayBackSample> = {}): WayBackSample {
  return {
    ...{ entry: 'gate', situation: 'banned', credential: 'original', door: 'rtc', title: '/rtc', user: 'u' },
    ...{ verdict: 'CLOSED', said: 'refused 403', witnessed: [], dwellMs: null, refreshTokenHarvested: false },
    ...changes,
  };
}

const opens: Control = new Map([
  ['rtc', { opens: true, said: 'joined' }],
  ['alias', { opens: true, said: 'joined' }],
  ['whip', { opens: false, said: 'refused 404' }],
  ['rtc-v1', { opens: null, said: 'ECONNREFUSED' }],
]);
const controls = new Map([['gate', opens] as const]);

function session(changes: Partial<SessionFinding> = {}): SessionFinding {
  return {
    ...{ entry: 'gate', situation: 'banned', verdict: 'CLOSED', victims: 2, stayed: 0, endedMs: 5 },
    ...{ said: 'removed', ...changes },
  };
}

function found(changes: Partial<ReadmissionFindings> & { samples: WayBackSample[] }): ReadmissionFindings {
  return {
    ...{ entry: 'gate', sessions: [session()], holdersRefused: [], refusedAtFirst: 0, tokensForBanned: 0 },
    ...{ endpointAnswers: 1, pastLeeway: false, ways: findingsOf(changes.samples, controls), ...changes },
  };
}

describe('a way back', () => {
  it('is as open as for whom it was most open', () => {
    const [way] = findingsOf(
      [
        sample(),
        sample({ verdict: 'WINDOW', dwellMs: 20 }),
        sample({ verdict: 'WINDOW', dwellMs: 900 }),
        sample({ verdict: 'UNKNOWN' }),
      ],
      controls,
    );
    expect(way).toMatchObject({ verdict: 'WINDOW', dwellMs: 900, attempts: 4, open: 2, control: 'joined' });
    const [open] = findingsOf(
      [sample({ verdict: 'WINDOW', dwellMs: 2 }), sample({ verdict: 'OPEN' })],
      controls,
    );
    expect(open).toMatchObject({ verdict: 'OPEN', dwellMs: null });
  });

  it('is closed only where it opens for somebody with a seat', () => {
    const verdictAt = (changes: Partial<WayBackSample>) =>
      findingsOf([sample(changes)], controls)[0]?.verdict;
    expect(verdictAt({})).toBe('CLOSED');
    expect(verdictAt({ door: 'whip' })).toBe('NO_DOOR');
    expect(verdictAt({ door: 'rtc-v1' })).toBe('UNKNOWN');
    expect(verdictAt({ door: 'rtc-validate' })).toBe('UNKNOWN');
    expect(verdictAt({ entry: 'livekit' })).toBe('UNKNOWN');
    expect(verdictAt({ credential: 'alias' })).toBe('CLOSED');
    expect(verdictAt({ credential: 'new' })).toBe('UNKNOWN');
    expect(verdictAt({ door: 'whip', verdict: 'OPEN' })).toBe('OPEN');
  });

  it('is tried with every token at every door', () => {
    expect(waysBack).toHaveLength(16);
    expect(new Set(waysBack.map(({ credential, title }) => `${credential} ${title}`)).size).toBe(16);
  });
});

describe('the verdict', () => {
  it.each<[string, string, Parameters<typeof found>[0]]>([
    ['held', 'all shut, all out', { samples: [sample()] }],
    ['open', 'a window', { samples: [sample({ verdict: 'WINDOW', dwellMs: 5 })] }],
    ['open', 'a pre-flight check that says yes', { samples: [sample({ verdict: 'OPEN' })] }],
    ['open', 'a holder who is refused', { samples: [sample()], holdersRefused: ['rtc: refused 403'] }],
    [
      'open',
      'a downgraded session that publishes',
      { samples: [sample()], sessions: [session({ situation: 'downgraded', verdict: 'OPEN', stayed: 1 })] },
    ],
    ['stays_in', 'back and still in', { samples: [sample({ verdict: 'OPEN', witnessed: ['u'] })] }],
    [
      'stays_in',
      'never put out, at either entry',
      { samples: [sample()], sessions: [session({ entry: 'livekit', verdict: 'OPEN', stayed: 2 })] },
    ],
    [
      'unknown',
      'a door without an answer',
      { samples: [sample(), sample({ verdict: 'UNKNOWN', door: 'whip' })] },
    ],
    ['unknown', 'nothing but what is no door', { samples: [sample({ door: 'whip' })] }],
    ['unknown', 'nothing at all', { samples: [] }],
    [
      'unknown',
      'a session that ended in a way that proves nothing',
      {
        samples: [sample()],
        sessions: [session({ verdict: 'UNKNOWN', said: 'leave JOIN_FAILURE/DISCONNECT' })],
      },
    ],
  ])('is %s for %s', (verdict, _what, changes) => {
    expect(summarise(found(changes)).verdict).toBe(verdict);
  });

  it('is about the entry that clients are given', () => {
    const beside = sample({ entry: 'livekit', verdict: 'OPEN', witnessed: ['u'] });
    const both = new Map([['gate', opens] as const, ['livekit', opens] as const]);
    const samples = [sample(), beside];
    const summary = summarise(found({ samples, ways: findingsOf(samples, both) }));
    expect(summary).toMatchObject({ verdict: 'held', bannedInside: 0, entries: { livekit: { open: 1 } } });
  });
});
