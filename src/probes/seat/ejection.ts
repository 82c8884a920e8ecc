import { constantArrivals } from '../../engine/constant-arrivals.ts';
import type { GeneratorHealth } from '../../engine/generator-health.ts';
import { LatencyHistogram } from '../../engine/latency-histogram.ts';
import { runOpenLoop } from '../../engine/open-loop.ts';
import { promiseOperation } from '../../engine/promise-operation.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { LoadPlan, ProbeContext } from '../probe.ts';
import { type ActiveFindings, measureActive, noActives } from './active.ts';
import { awaitEjection, type Stage, seatVictims, type Victim } from './victims.ts';

export interface EjectionFindings {
  /** COMMIT sent → `leave` received, one victim after the other. */
  readonly latency: LatencyHistogram;
  /** Due by the arrival schedule → `leave` received. */
  readonly fromIntended: LatencyHistogram;
  /** The same for victims that were all revoked by one statement. */
  readonly burst: LatencyHistogram;
  /** A bare `removeParticipant` → `leave`: what LiveKit itself takes, on the same room. */
  readonly bareRemoval: LatencyHistogram;
  readonly revoked: number;
  readonly ejected: number;
  /** Why victims were not ejected, with how often. */
  readonly missed: Readonly<Record<string, number>>;
  readonly generator: GeneratorHealth | null;
  readonly burstSize: number;
  /** Those with a media connection, whom the server lists as ACTIVE. */
  readonly active: ActiveFindings;
}

/** Between the p99 of a burst (1.1 s, measured) and the 60 s after which LiveKit itself drops such a participant. */
const ejectionDeadlineMs = 5_000;

/** A batch is revoked within this, so that its last victim is far from LiveKit's own 60-s timeout. */
const batchMs = 20_000;
/** Joins and removals are told to everybody in the room: with 200 in it this process mostly reads that, and late. */
const batchLimit = 50;

const burstLimit = 20;
const bareRemovals = 20;

export interface EjectionPlan {
  readonly ratePerS: number;
  /** Victims that are revoked one by one. */
  readonly sequential: number;
  /** Victims that are revoked by one statement. */
  readonly burst: number;
  /** Victims with a media connection. */
  readonly active: number;
  /** Users in all, with those removed without any revocation. */
  readonly total: number;
}

/** An ejection takes some 5 ms, so that at 20/s each is over before the next begins. */
const unhurriedRatePerS = 20;

/** Revokes victims at the plan's rate and waits until each is out; then a burst in one statement. */
export async function measureEjection(
  context: ProbeContext,
  stage: Stage,
  plan: EjectionPlan,
): Promise<EjectionFindings> {
  const run = new EjectionRun(context, stage, plan.ratePerS);
  const { users } = stage.cohort;
  // one alone first: where nobody ejects anybody, that is found out in seconds
  if (!(await run.sequence(users.slice(0, 1)))) return run.findings(0);
  const rest = users.slice(1, plan.sequential);
  const batch = Math.max(1, Math.min(batchLimit, Math.floor((plan.ratePerS * batchMs) / 1000)));
  for (let from = 0; from < rest.length; from += batch) {
    context.signal.throwIfAborted();
    await run.sequence(rest.slice(from, from + batch));
    const done = run.findings(0).ejected;
    context.progress({ kind: 'note', text: `seat: ${done} of ${plan.sequential} victims ejected` });
  }
  const burst = users.slice(plan.sequential, plan.sequential + plan.burst);
  await run.burst(burst);
  const others = users.slice(plan.sequential + plan.burst);
  await run.bareRemovals(others.slice(0, bareRemovals));
  await run.active(others.slice(bareRemovals, bareRemovals + plan.active));
  return run.findings(burst.length);
}

/**
 * How many users a run needs, and how fast they are revoked. Without a duration the plan's `users` go one after the
 * other at 20/s; with one, at its rate and never more than fit into it.
 */
export function ejectionPlan(plan: LoadPlan, active: number): EjectionPlan {
  const timed = plan.durationMs > 0;
  const ratePerS = timed ? plan.ratePerS : unhurriedRatePerS;
  const byTime = timed ? Math.floor((ratePerS * plan.durationMs) / 1000) : Number.POSITIVE_INFINITY;
  const sequential = Math.max(1, Math.min(plan.users, byTime));
  const burst = Math.min(burstLimit, sequential);
  return { ratePerS, sequential, burst, active, total: sequential + burst + bareRemovals + active };
}

class EjectionRun {
  readonly #context: ProbeContext;
  readonly #stage: Stage;
  readonly #ratePerS: number;
  readonly #latency = new LatencyHistogram();
  readonly #fromIntended = new LatencyHistogram();
  readonly #burst = new LatencyHistogram();
  readonly #bareRemoval = new LatencyHistogram();
  readonly #missed = new Map<string, number>();
  #active: ActiveFindings = noActives;
  #revoked = 0;
  #ejected = 0;
  #generator: GeneratorHealth | null = null;

  constructor(context: ProbeContext, stage: Stage, ratePerS: number) {
    this.#context = context;
    this.#stage = stage;
    this.#ratePerS = ratePerS;
  }

  /** @returns whether all of them were ejected */
  async sequence(users: Stage['cohort']['users']): Promise<boolean> {
    const before = this.#revoked - this.#ejected;
    const victims = await seatVictims(this.#context, this.#stage, users);
    const result = await runOpenLoop({
      arrivals: constantArrivals(this.#ratePerS),
      durationMs: (victims.length * 1000) / this.#ratePerS,
      timeoutMs: ejectionDeadlineMs + 1_000,
      signal: this.#context.signal,
      operation: promiseOperation(async (index, intendedMs) => {
        const victim = victims[index];
        if (victim === undefined) return { outcome: 'error', reason: 'no victim' };
        return this.#revokeOne(victim, intendedMs);
      }),
    });
    await closeAll(victims);
    this.#context.signal.throwIfAborted();
    this.#generator = worseOf(this.#generator, result.generator);
    return this.#revoked - this.#ejected === before;
  }

  async #revokeOne(victim: Victim, intendedMs: number) {
    const { cohort, streamId } = this.#stage;
    const left = awaitEjection(victim.participant, ejectionDeadlineMs);
    const times = await cohort.revoke(streamId, [victim.user.id]);
    const verdict = await left;
    this.#count('sequential', victim, verdict, times.commitSentAtMs);
    if (!verdict.ejected) return { outcome: 'error' as const, reason: verdict.why };
    this.#latency.recordMs(verdict.atMs - times.commitSentAtMs);
    this.#fromIntended.recordMs(verdict.atMs - intendedMs);
    return 'ok' as const;
  }

  async burst(users: Stage['cohort']['users']): Promise<void> {
    if (users.length === 0) return;
    const { cohort, streamId } = this.#stage;
    const victims = await seatVictims(this.#context, this.#stage, users);
    const waits = victims.map(({ participant }) => awaitEjection(participant, ejectionDeadlineMs));
    const times = await cohort.revoke(
      streamId,
      users.map(({ id }) => id),
    );
    for (const [index, verdict] of (await Promise.all(waits)).entries()) {
      const victim = victims[index];
      if (victim === undefined) continue;
      this.#count('burst', victim, verdict, times.commitSentAtMs);
      if (verdict.ejected) this.#burst.recordMs(verdict.atMs - times.commitSentAtMs);
    }
    await closeAll(victims);
  }

  /** Removes people who keep their seats: the floor that an ejection is compared with. */
  async bareRemovals(users: Stage['cohort']['users']): Promise<void> {
    const { livekit, streamId } = this.#stage;
    const { clock } = this.#context;
    const admin = liveKitAdmin(livekit);
    const victims = await seatVictims(this.#context, this.#stage, users);
    for (const { user, participant } of victims) {
      const calledAtMs = clock.monotonicMs();
      await admin.remove(streamId, user.id);
      const verdict = await awaitEjection(participant, ejectionDeadlineMs);
      if (verdict.ejected) this.#bareRemoval.recordMs(verdict.atMs - calledAtMs);
    }
    await closeAll(victims);
  }

  /** Revokes people who are really ACTIVE. Where media does not get through that is told, and is no violation. */
  async active(users: Stage['cohort']['users']): Promise<void> {
    const found = await measureActive(this.#context, this.#stage, users);
    for (const { victim, verdict, commitSentAtMs } of found.revocations) {
      this.#count('active', victim, verdict, commitSentAtMs);
    }
    this.#active = found.findings;
  }

  findings(burstSize: number): EjectionFindings {
    return {
      latency: this.#latency,
      fromIntended: this.#fromIntended,
      burst: this.#burst,
      bareRemoval: this.#bareRemoval,
      revoked: this.#revoked,
      ejected: this.#ejected,
      missed: Object.fromEntries(this.#missed),
      generator: this.#generator,
      burstSize,
      active: this.#active,
    };
  }

  #count(
    kind: 'sequential' | 'burst' | 'active',
    victim: Pick<Victim, 'user' | 'participant'>,
    verdict: Awaited<ReturnType<typeof awaitEjection>>,
    commitSentAtMs: number,
  ): void {
    this.#revoked += 1;
    if (verdict.ejected) this.#ejected += 1;
    else this.#missed.set(verdict.why, (this.#missed.get(verdict.why) ?? 0) + 1);
    this.#context.series('seat.ejection.ndjson', {
      kind,
      user: victim.user.id,
      joinMs: round(victim.participant.joinMs),
      ejectMs: verdict.ejected ? round(verdict.atMs - commitSentAtMs) : null,
      ...(verdict.ejected ? {} : { missed: verdict.why }),
    });
  }
}

async function closeAll(victims: readonly Victim[]): Promise<void> {
  await Promise.all(victims.map(({ participant }) => participant.close()));
}

/** Of two runs the one that says more against the figures. */
function worseOf(a: GeneratorHealth | null, b: GeneratorHealth): GeneratorHealth {
  return a === null || (a.healthy && !b.healthy) || a.eventLoopDelayMsP99 < b.eventLoopDelayMsP99 ? b : a;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
