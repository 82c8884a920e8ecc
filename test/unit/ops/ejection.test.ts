import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/kernel/clock.ts';
import { ejectFromRoom } from '../../../src/ops/ejection.ts';
import { retryDelayMs } from '../../../src/ops/ejection-retry.ts';
import type { LiveKitAdmin, Occupant } from '../../../src/target/livekit/admin.ts';
import { classifyLiveKitError, LiveKitError } from '../../../src/target/livekit/livekit-error.ts';

// Who is in a room is a list here: what ejecting does with a server that behaves in a way a real one
// only does by accident. The real server is in test/integration/seats.
class Room implements LiveKitAdmin {
  readonly url = 'ws://127.0.0.1:1';
  readonly removals: string[] = [];
  readonly silenced: string[] = [];
  occupantsNow: Occupant[];
  #onRemove: (room: Room, identity: string) => void;

  constructor(identities: readonly string[], onRemove: (room: Room, identity: string) => void) {
    this.occupantsNow = identities.map((identity) => occupant(identity, true));
    this.#onRemove = onRemove;
  }
  async occupants() {
    return this.occupantsNow;
  }
  async remove(_room: string, identity: string) {
    this.removals.push(identity);
    const there = this.occupantsNow.some((one) => one.identity === identity);
    this.#onRemove(this, identity);
    return there ? ('removed' as const) : ('absent' as const);
  }
  async silence(_room: string, identity: string) {
    this.silenced.push(identity);
    this.occupantsNow = this.occupantsNow.map((one) =>
      one.identity === identity ? { ...one, canPublish: false, canPublishData: false } : one,
    );
    return 'silenced' as const;
  }
  async rooms() {
    return ['r'];
  }
  async deleteRoom() {
    return 'deleted' as const;
  }
}

const obeys = (room: Room, identity: string) => {
  room.occupantsNow = room.occupantsNow.filter((one) => one.identity !== identity);
};
const options = { clock: systemClock, signal: new AbortController().signal };

function occupant(identity: string, canPublish: boolean): Occupant {
  return {
    ...{ identity, sid: `PA_${identity}`, state: 'JOINED', canPublish, canPublishData: canPublish },
    ...{ canSubscribe: true, isPerson: true, attributes: {}, tracks: 0 },
  };
}

describe('ejectFromRoom', () => {
  it('takes out the id and every alias, and nobody whose id only starts alike', async () => {
    const room = new Room(['ada', 'ada#x', 'ada#y#z', 'adam', 'bob#ada'], obeys);
    const outcomes = await ejectFromRoom(room, 'r', [{ userId: 'ada', mayWatch: false }], options);
    expect(outcomes.get('ada')).toMatchObject({ kind: 'clean', removed: ['ada', 'ada#x', 'ada#y#z'] });
    expect(room.occupantsNow.map(({ identity }) => identity)).toEqual(['adam', 'bob#ada']);
  });

  it('says so when a server confirms removals and does not remove', async () => {
    const room = new Room(['ada'], () => {});
    const outcomes = await ejectFromRoom(room, 'r', [{ userId: 'ada', mayWatch: false }], options);
    expect(outcomes.get('ada')).toEqual({ kind: 'returns', removed: ['ada'], stillThere: ['ada'] });
    expect(room.removals.length).toBeLessThan(10);
  });

  it('lets somebody whose seat ran out stay as a viewer', async () => {
    const room = new Room(['ada', 'ada#x'], obeys);
    room.occupantsNow = [occupant('ada', false), occupant('ada#x', true)];
    const outcomes = await ejectFromRoom(room, 'r', [{ userId: 'ada', mayWatch: true }], options);
    expect(outcomes.get('ada')).toMatchObject({ kind: 'clean', removed: ['ada#x'] });
    expect(room.occupantsNow.map(({ identity }) => identity)).toEqual(['ada']);
  });

  it('silences whose seat was downgraded, under every identity, and puts nobody out', async () => {
    const room = new Room(['ada', 'ada#x', 'bob'], obeys);
    const evictees = [{ userId: 'ada', mayWatch: true, measure: 'silence' as const }];
    const outcomes = await ejectFromRoom(room, 'r', evictees, options);
    expect(outcomes.get('ada')).toMatchObject({ kind: 'clean', removed: ['ada', 'ada#x'] });
    expect(room.silenced).toEqual(['ada', 'ada#x']);
    expect(room.removals).toEqual([]);
    expect(room.occupantsNow.map(({ canPublish }) => canPublish)).toEqual([false, false, true]);
  });

  it('believes the listing, not an answer that nobody expected', async () => {
    const odd = classifyLiveKitError(Object.assign(new Error('what?'), { status: 400 }));
    const answerOddly = (room: Room, identity: string) => {
      if (identity === 'ada') obeys(room, identity);
      throw new LiveKitError(odd, 'removeParticipant', room.url);
    };
    const room = new Room(['ada', 'bob'], answerOddly);
    const evictees = ['ada', 'bob'].map((userId) => ({ userId, mayWatch: false }));
    const outcomes = await ejectFromRoom(room, 'r', evictees, options);
    expect(outcomes.get('ada')).toMatchObject({ kind: 'clean' });
    expect(outcomes.get('bob')).toMatchObject({ kind: 'failed', failure: { status: 400 } });
  });

  it('reports everybody who is not out when the server fails', async () => {
    const failure = classifyLiveKitError(new DOMException('late', 'TimeoutError'));
    const room = new Room(['ada', 'bob'], (_room, identity) => {
      if (identity === 'bob') throw new LiveKitError(failure, 'removeParticipant', room.url);
    });
    const evictees = ['ada', 'bob'].map((userId) => ({ userId, mayWatch: false }));
    const outcomes = await ejectFromRoom(room, 'r', evictees, options);
    expect([...outcomes.values()].map(({ kind }) => kind)).toEqual(['failed', 'failed']);
  });
});

describe('retryDelayMs', () => {
  const failed = (thrown: unknown) => ({ kind: 'failed', failure: classifyLiveKitError(thrown) }) as const;

  it('is quick at first and bounded for ever', () => {
    const down = failed(new TypeError('fetch failed'));
    const delays = Array.from({ length: 40 }, (_, i) => retryDelayMs(down, i + 1));
    expect(delays.slice(0, 4)).toEqual([200, 500, 1_000, 2_000]);
    expect(Math.max(...delays)).toBe(30_000);
  });

  it('does not hammer with a wrong secret', () => {
    expect(retryDelayMs(failed(Object.assign(new Error('no'), { status: 401 })), 1)).toBe(30_000);
  });
});
