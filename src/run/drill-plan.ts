import type { ChatProbeOptions } from '../probes/chat/chat-probe.ts';
import type { LoadPlan } from '../probes/probe.ts';
import type { SeatPlan } from '../probes/seat/seat-probe.ts';

/** Shape of a drill: how long each probe runs and how often each experiment is repeated. */
export interface DrillPlan {
  readonly chat: LoadPlan & Pick<ChatProbeOptions, 'rooms' | 'quota'>;
  readonly gift: LoadPlan;
  readonly seat: SeatPlan;
  readonly hls: LoadPlan;
  readonly leaderboard: LoadPlan;
  readonly token: LoadPlan;
  readonly repetitions: number;
}

const calm: LoadPlan = { ratePerS: 1, durationMs: 0, rampMs: 0, users: 1, connections: 1, workers: 1 };

/**
 * The full drill. Rates are what two shared cores carry with room to spare while the stack runs beside the generator:
 * the point is to hold them without loss, not to find the limit. Chat runs longer than the 60 s over which Realtime
 * averages its quota, since a shorter run never meets it.
 */
export const fullDrill: DrillPlan = {
  chat: { ...calm, ratePerS: 100, durationMs: 65_000, rampMs: 2000, users: 150, connections: 150, rooms: 10 },
  gift: { ...calm, ratePerS: 427, durationMs: 30_000, rampMs: 2000, users: 1000, connections: 32 },
  seat: { ...calm, users: 100 },
  hls: { ...calm, durationMs: 40_000, rampMs: 5000, users: 1000, connections: 128 },
  leaderboard: { ...calm, ratePerS: 100, durationMs: 5000, connections: 8 },
  token: { ...calm },
  repetitions: 3,
};

/** Everything that the full drill does, in phases short enough for under 3 minutes in all. */
export const quickDrill: DrillPlan = {
  chat: {
    ...fullDrill.chat,
    durationMs: 10_000,
    rampMs: 1000,
    ratePerS: 50,
    users: 60,
    connections: 60,
    rooms: 5,
  },
  gift: { ...fullDrill.gift, durationMs: 8000, rampMs: 1000, users: 300 },
  seat: { ...fullDrill.seat, users: 20 },
  hls: { ...fullDrill.hls, durationMs: 15_000, rampMs: 2000, users: 200, connections: 64 },
  leaderboard: { ...fullDrill.leaderboard, durationMs: 2000 },
  token: fullDrill.token,
  repetitions: 1,
};

/** The plan for a target that enforces a Realtime quota: it is the theoretical limit of chat. */
export function withQuota(plan: DrillPlan, quota: NonNullable<ChatProbeOptions['quota']> | null): DrillPlan {
  return { ...plan, chat: { ...plan.chat, quota } };
}
