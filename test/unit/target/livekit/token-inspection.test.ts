import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/kernel/redact.ts';
import { signLiveKitToken } from '../../../../src/target/livekit/mint.ts';
import { inspectToken } from '../../../../src/target/livekit/token-inspection.ts';

const secret = new Secret('a-secret-of-at-least-32-characters-000');
const nowMs = Date.parse('2026-11-24T12:00:00Z');
const nowS = nowMs / 1000;

const grants = {
  roomJoin: true,
  room: 'r',
  canPublish: false,
  canSubscribe: true,
  canPublishData: false,
  canUpdateOwnMetadata: false,
};
const safe = { iss: 'devkey', sub: 'ada', name: 'Ada', nbf: nowS, exp: nowS + 60, video: grants };

async function inspect(
  claims: Record<string, unknown>,
  options: { apiSecret?: Secret; apiKey?: string } = {},
) {
  return inspectToken(await signLiveKitToken(claims, secret), {
    nowMs,
    apiKey: 'devkey',
    apiSecret: secret,
    ...options,
  });
}

describe('inspectToken', () => {
  it('finds nothing in the token of the policy', async () => {
    expect(await inspect(safe)).toMatchObject({
      verdict: 'safe',
      signature: 'valid',
      identity: 'ada',
      room: 'r',
      lifetimeSeconds: 60,
      findings: [],
    });
  });

  it.each([
    ['roomAdmin', { video: { ...grants, roomAdmin: true } }, 'grant:roomAdmin'],
    ['hidden', { video: { ...grants, hidden: true } }, 'grant:hidden'],
    ['own metadata', { video: { ...grants, canUpdateOwnMetadata: true } }, 'grant:canUpdateOwnMetadata'],
    ['canPublish unset', { video: { roomJoin: true, room: 'r', canSubscribe: true } }, 'grant:canPublish'],
    ['no expiry', { exp: undefined }, 'expiry'],
    ['a day', { exp: nowS + 86_400 }, 'lifetime'],
    ['an alias', { sub: 'ada#x' }, 'identity'],
    ['no identity', { sub: undefined }, 'identity'],
    ['no room', { video: { ...grants, room: undefined } }, 'room'],
    ['room configuration', { roomConfig: { agents: [] } }, 'claim:roomConfig'],
    ['another kind', { kind: 'agent' }, 'claim:kind'],
  ])('%s is dangerous', async (_what, change, rule) => {
    const inspection = await inspect({ ...safe, ...change });
    expect(inspection.verdict).toBe('dangerous');
    expect(inspection.findings).toContainEqual(expect.objectContaining({ level: 'danger', rule }));
  });

  it('checks the signature, and says so when it could not', async () => {
    const other = new Secret('another-secret-of-at-least-32-characters');
    expect(await inspect(safe, { apiSecret: other })).toMatchObject({
      signature: 'invalid',
      verdict: 'dangerous',
    });
    const unchecked = await inspectToken(await signLiveKitToken(safe, secret), { nowMs });
    expect(unchecked.signature).toBe('not_checked');
    expect(unchecked.verdict).toBe('safe');
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${part({ alg: 'none' })}.${part(safe)}.`;
    expect(await inspectToken(unsigned, { nowMs, apiSecret: secret })).toMatchObject({
      algorithm: 'none',
      signature: 'invalid',
      verdict: 'dangerous',
    });
  });

  it('an expired token has a valid signature, and LiveKit’s leeway is told', async () => {
    const expired = await inspect({ ...safe, nbf: nowS - 70, exp: nowS - 10 });
    expect(expired).toMatchObject({ signature: 'valid', expired: true, verdict: 'safe' });
    expect(expired.findings[0]?.text).toContain('another 50 s');
  });

  it.each(['', 'abc', 'a.b.c', 'eyJhbGciOiJIUzI1NiJ9.e30', 'x'.repeat(20_000)])(
    '"%.20s" is no token',
    async (text) => {
      await expect(inspectToken(text, { nowMs })).rejects.toMatchObject({ code: 'TF-TOK-001' });
    },
  );

  it('a JWT of somebody else is no LiveKit token, and is not echoed', async () => {
    const userToken = await signLiveKitToken({ role: 'authenticated', sub: 'ada' }, secret);
    const error = await inspectToken(userToken, { nowMs }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'TF-TOK-001' });
    expect(String(error)).not.toContain('eyJ');
  });
});
