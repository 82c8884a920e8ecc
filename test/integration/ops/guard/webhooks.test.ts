import { createHash, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LiveKitTarget } from '../../../../src/config/target.ts';
import { mapBounded } from '../../../../src/kernel/bounded-map.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import { awaitEjection } from '../../../../src/probes/seat/victims.ts';
import { signLiveKitToken } from '../../../../src/target/livekit/mint.ts';
import { GuardStage } from './guard-stage.ts';

let stage: GuardStage;
beforeAll(async () => {
  stage = await GuardStage.start();
});
afterAll(async () => stage?.[Symbol.asyncDispose]());
afterEach(async () => {
  expect(stage.log.text).not.toMatch(/eyJ[\w-]{6,}/);
  await stage.clear();
});

interface Delivery {
  readonly body: string;
  readonly authorization: string;
}

/** A webhook as LiveKit signs it. */
async function signed(livekit: LiveKitTarget, event: Record<string, unknown>): Promise<Delivery> {
  const body = JSON.stringify({ id: `EV_${randomUUID()}`, createdAt: '1', ...event });
  const nowS = Math.floor(Date.now() / 1000);
  const sha256 = createHash('sha256').update(body).digest('base64');
  const claims = { iss: livekit.apiKey, nbf: nowS, exp: nowS + 300, sha256 };
  return { body, authorization: await signLiveKitToken(claims, livekit.apiSecret) };
}

async function deliver(url: string, { body, authorization }: Delivery): Promise<number> {
  const headers = { authorization, 'content-type': 'application/webhook+json' };
  const answer = await fetch(url, { method: 'POST', headers, body });
  await answer.arrayBuffer();
  return answer.status;
}

describe('a storm of webhooks', () => {
  it('repeats, forgeries and all, changes nothing about who is in the room but what the rows say', async () => {
    const { cohort, streamId, ids } = await stage.people(2);
    const [ada = '', bob = ''] = ids;
    const guard = await stage.guard();
    const url = guard.urls.webhook ?? '';
    const { livekit } = stage.seats.livekit;
    const victim = await stage.join(await stage.token(streamId, ada));
    const holder = await stage.join(await stage.token(streamId, bob));
    const joined = (identity: string) => ({
      event: 'participant_joined',
      room: { name: streamId },
      participant: { identity },
    });
    const real = await Promise.all(
      Array.from({ length: 200 }, (_, i) => signed(livekit, joined(i % 2 === 0 ? bob : `${bob}#x`))),
    );
    const stranger = { ...livekit, apiSecret: new Secret('another-secret-another-secret-another') };
    const forged = await Promise.all(Array.from({ length: 200 }, () => signed(stranger, joined(bob))));
    const tampered = real.map(({ body, authorization }) => ({ body: `${body} `, authorization }));
    const storm = [...real, ...real, ...forged, ...tampered, ...real];
    const before = { ...guard.status().webhooks };
    const revoking = cohort.revoke(streamId, [ada]);
    const statuses = await mapBounded(storm, 32, (one) => deliver(url, one));
    await revoking;
    const count = (status: number) => statuses.filter((one) => one === status).length;
    expect([count(200), count(401)]).toEqual([600, 400]);
    const { webhooks } = guard.status();
    // LiveKit's own may be among the accepted
    expect((webhooks?.accepted ?? 0) - (before.accepted ?? 0)).toBeGreaterThanOrEqual(200);
    expect(webhooks).toMatchObject({ duplicate: 400, forged: 400, malformed: 0, overloaded: 0 });

    expect(await awaitEjection(victim, 15_000)).toMatchObject({ ejected: true });
    await stage.reconciled(guard);
    expect(await stage.sessionsOf(streamId, ada)).toEqual([]);
    expect(await Promise.race([holder.left, 'still here'])).toBe('still here');
    const complaints = stage.log.lines.filter((line) => line.includes('bad signature'));
    expect(complaints, 'said once, not 400 times').toHaveLength(1);
  });

  it('answers before it acts, and refuses what is no webhook', async () => {
    const guard = await stage.guard();
    const url = guard.urls.webhook ?? '';
    const { livekit } = stage.seats.livekit;
    await stage.reconciled(guard);
    stage.seats.livekit.service.kill('SIGSTOP');
    const { failedPasses } = guard.status().enforcer;
    try {
      expect(await deliver(url, await signed(livekit, { event: 'room_started', room: { name: 'x' } }))).toBe(
        200,
      );
      // acting on it has to wait for LiveKit, and gives up after 2 s: what it is told to do is not done yet
      expect(guard.status().enforcer).toMatchObject({ failedPasses });
    } finally {
      stage.seats.livekit.service.kill('SIGCONT');
    }
    const large = await signed(livekit, { event: 'room_started', padding: 'x'.repeat(300_000) });
    expect(await deliver(url, large)).toBe(400);
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401);
    await expect.poll(() => guard.status().webhooks).toMatchObject({ malformed: 1, forged: 1 });
  });
});
