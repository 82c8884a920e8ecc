import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { LiveKitWatch } from '../../../../src/ops/guard/livekit-watch.ts';
import type { LiveKitAdmin } from '../../../../src/target/livekit/admin.ts';
import { classifyLiveKitError, LiveKitError } from '../../../../src/target/livekit/livekit-error.ts';

/** A LiveKit that answers as it is told to. */
function scene(leadMs: number | null = null) {
  const errors: string[] = [];
  const warnings: string[] = [];
  let ups = 0;
  let failure: unknown = null;
  const watch = new LiveKitWatch({
    clock: systemClock,
    log: {
      ...silentLogger,
      error: (message) => errors.push(message),
      warn: (message) => warnings.push(message),
    },
    onUp: () => {
      ups += 1;
    },
    clockLeadMs: async () => leadMs,
  });
  const answer = async <T>(value: T): Promise<T> => {
    if (failure !== null) throw new LiveKitError(classifyLiveKitError(failure), 'call', 'ws://127.0.0.1:1');
    return value;
  };
  const admin: LiveKitAdmin = {
    url: 'ws://127.0.0.1:1',
    occupants: () => answer([]),
    remove: () => answer('removed' as const),
    silence: () => answer('silenced' as const),
    rooms: () => answer([]),
    deleteRoom: () => answer('deleted' as const),
  };
  const watched = watch.over(admin);
  return {
    ...{ watch, errors, warnings },
    ups: () => ups,
    /** One call, that fails with this or succeeds. */
    call: async (error: unknown = null) => {
      failure = error;
      await watched.rooms().catch(() => {});
    },
  };
}

const status = (code: number) =>
  Object.assign(new Error('invalid token: eyJhbGciOiJIUzI1NiJ9.e30.x'), { status: code });

describe('LiveKitWatch', () => {
  it('tells of an outage once and of its end once', async () => {
    const { watch, warnings, ups, call } = scene();
    await call();
    expect([watch.state.kind, ups()]).toEqual(['ok', 1]);
    for (let i = 0; i < 5; i++) await call(new TypeError('fetch failed'));
    expect(watch.state.kind).toBe('down');
    expect(warnings).toHaveLength(1);
    await call();
    await call();
    expect([watch.state.kind, ups()]).toEqual(['ok', 2]);
  });

  it.each([
    [70_000, /70 s ahead of/],
    [-90_000, /90 s behind/],
    [10_000, /key or secret/],
    [null, /key or secret/],
  ])('a refusal with a clock %s ms off says what is to be done, once', async (leadMs, words) => {
    const { watch, errors, call } = scene(leadMs);
    for (let i = 0; i < 5; i++) await call(status(401));
    expect(watch.state).toMatchObject({ kind: 'refused', message: expect.stringMatching(words) });
    expect(errors).toHaveLength(1);
    expect(errors[0]).not.toContain('eyJ');
  });

  it('an answer that nobody expected is an answer', async () => {
    const { watch, call } = scene();
    await call(status(400));
    expect(watch.state.kind).toBe('ok');
  });
});
