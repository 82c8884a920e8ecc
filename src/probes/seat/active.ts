import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { sleep } from '../../kernel/clock.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import { Crowd } from './storm-crowd.ts';
import { awaitEjection, type EjectionVerdict, type Stage, type Victim } from './victims.ts';

/** How those fared whom the server lists as ACTIVE: webhooks fire for them, and media flows. */
export interface ActiveFindings {
  readonly asked: number;
  /** Got a media connection. */
  readonly connected: number;
  /** Of those, how many the server itself listed as ACTIVE. */
  readonly byWitness: number;
  /** Why the others did not, with how often. */
  readonly unconnected: Readonly<Record<string, number>>;
  /** Dial → DTLS stands. */
  readonly connectMs: LatencyHistogram;
  /** COMMIT sent → `leave` received. */
  readonly latency: LatencyHistogram;
}

export const noActives: ActiveFindings = {
  ...{ asked: 0, connected: 0, byWitness: 0, unconnected: {} },
  ...{ connectMs: new LatencyHistogram(), latency: new LatencyHistogram() },
};

interface ActiveRevocation {
  readonly victim: Pick<Victim, 'user' | 'participant'>;
  readonly verdict: EjectionVerdict;
  readonly commitSentAtMs: number;
}

/** As for the others, well before the minute; these have none, but the rest of the room does. */
const ejectionDeadlineMs = 5_000;

/** Connected here and not yet ACTIVE there is a matter of milliseconds. */
const witnessMs = 2_000;

/** Has users join with a media connection and revokes them one after the other. */
export async function measureActive(
  context: ProbeContext,
  stage: Stage,
  users: readonly SyntheticUser[],
): Promise<{ findings: ActiveFindings; revocations: ActiveRevocation[] }> {
  if (users.length === 0) return { findings: noActives, revocations: [] };
  const { cohort, streamId } = stage;
  const crowd = new Crowd(context, stage, 'server');
  const latency = new LatencyHistogram();
  const revocations: ActiveRevocation[] = [];
  await cohort.grant(
    streamId,
    users.map(({ id }) => id),
  );
  try {
    await Promise.all(users.map((user) => crowd.admit(user, streamId, 'active')));
    const active = await listedAsActive(context, stage, crowd.members.length);
    for (const { user, session: participant } of crowd.members) {
      const left = awaitEjection(participant, ejectionDeadlineMs);
      const { commitSentAtMs } = await cohort.revoke(streamId, [user.id]);
      const verdict = await left;
      if (verdict.ejected) latency.recordMs(verdict.atMs - commitSentAtMs);
      revocations.push({ victim: { user, participant }, verdict, commitSentAtMs });
    }
    const findings = {
      asked: users.length,
      connected: crowd.members.length,
      byWitness: crowd.members.filter(({ user }) => active.has(user.id)).length,
      unconnected: Object.fromEntries(crowd.turnedAway),
      connectMs: crowd.joinMs.active,
      latency,
    };
    return { findings, revocations };
  } finally {
    await crowd.close();
  }
}

/** Identities that the server lists as ACTIVE: it does so a moment after this side is connected. */
async function listedAsActive(
  { clock, signal }: ProbeContext,
  { livekit, streamId }: Stage,
  expected: number,
): Promise<ReadonlySet<string>> {
  const admin = liveKitAdmin(livekit);
  const endsAtMs = clock.monotonicMs() + witnessMs;
  for (;;) {
    const occupants = await admin.occupants(streamId);
    const active = occupants.filter(({ state }) => state === 'ACTIVE').map(({ identity }) => identity);
    if (active.length >= expected || clock.monotonicMs() >= endsAtMs) return new Set(active);
    await sleep(50, signal);
  }
}
