import { describe, expect, test } from 'vitest';
import type { GlobalFlags, Prompts } from '../../../src/cli/command.ts';
import { assertSafe, type Intent } from '../../../src/cli/safety.ts';
import type { Target } from '../../../src/config/target.ts';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { Secret } from '../../../src/kernel/redact.ts';

const globals: GlobalFlags = {
  target: undefined,
  config: undefined,
  envFile: undefined,
  json: false,
  ndjson: false,
  quiet: false,
  verbose: false,
  yes: true,
  input: true,
  confirm: undefined,
  timeoutMs: undefined,
};

function target(changes: Partial<Target> = {}): Target {
  return {
    name: 'staging',
    kind: 'supabase',
    supabaseUrl: 'http://127.0.0.1:54321',
    anonKey: new Secret('anon'),
    serviceRoleKey: undefined,
    jwtSecret: undefined,
    databaseUrl: new Secret('postgresql://postgres:pw@localhost:5432/postgres'),
    livekit: { url: 'ws://[::1]:7880', apiKey: 'key', apiSecret: new Secret('s') },
    hls: { url: 'http://127.0.0.1:8080/live/master.m3u8' },
    tokenEndpoint: undefined,
    limits: undefined,
    ...changes,
  };
}

const gentle: Intent = { what: 'load', ratePerS: 10, users: 5 };
const limits = { maxRate: 50, maxUsers: 100, chaos: false };
const far = { supabaseUrl: 'https://abcd.supabase.co' };

function answering(answer: string | undefined): Prompts {
  return {
    confirm: async () => {},
    text: async (_, options) => {
      if (answer === undefined)
        throw new TrollfixError('TF-CLI-005', 'no terminal', { hint: `pass ${options?.flag}` });
      return answer;
    },
    select: async () => {
      throw new Error('not asked');
    },
  };
}

async function verdict(of: Target, intent: Intent, confirm?: string, answer?: string): Promise<string> {
  try {
    await assertSafe({ globals: { ...globals, confirm }, prompts: answering(answer) }, of, intent);
    return 'free';
  } catch (error) {
    if (error instanceof TrollfixError) return error.code;
    throw error;
  }
}

describe('the safety guard', () => {
  test('loopback is free, in every spelling', async () => {
    expect(await verdict(target(), { ...gentle, ratePerS: 1e6 })).toBe('free');
    expect(await verdict(target({ supabaseUrl: 'http://localhost:1' }), { ...gentle, what: 'chaos' })).toBe(
      'free',
    );
  });

  test.each([
    ['Supabase', far],
    ['the database', { databaseUrl: new Secret('postgresql://u:p@db.example.com/d') }],
    ['LiveKit', { livekit: { url: 'wss://x.livekit.cloud', apiKey: 'k', apiSecret: new Secret('s') } }],
    ['HLS', { hls: { url: 'https://cdn.example.com/m.m3u8' } }],
    ['the token endpoint', { tokenEndpoint: 'https://t.example.com' }],
    ['a name that only looks like loopback', { supabaseUrl: 'https://127.0.0.1.example.com' }],
  ])('one part elsewhere is enough to be guarded: %s', async (_, change) => {
    expect(await verdict(target(change), gentle, 'staging')).toBe('TF-SAFE-001');
    expect(await verdict(target({ ...change, limits }), gentle, 'staging')).toBe('free');
  });

  test('limits without the name, or with another, are not enough; neither is --yes', async () => {
    const guarded = target({ ...far, limits });
    expect(await verdict(guarded, gentle)).toBe('TF-CLI-005');
    expect(await verdict(guarded, gentle, 'production')).toBe('TF-SAFE-001');
    expect(await verdict(guarded, gentle, undefined, 'stagin')).toBe('TF-SAFE-001');
    expect(await verdict(guarded, gentle, undefined, 'staging')).toBe('free');
  });

  test.each([
    ['rate', { ...gentle, ratePerS: 50.1 }],
    ['users', { ...gentle, users: 101 }],
    ['chaos', { ...gentle, what: 'chaos' as const }],
  ])('above its limits: %s', async (_, intent) => {
    expect(await verdict(target({ ...far, limits }), intent, 'staging')).toBe('TF-SAFE-002');
  });
});
