import type { LadderStep } from './process-identity.ts';

export const serviceNames = ['postgres', 'gateway', 'livekit', 'hls', 'settler', 'guard'] as const;

export type ServiceName = (typeof serviceNames)[number];

/**
 * How each service is told to stop, with growing insistence. The same steps end a service of a running stack
 * and one that a dead supervisor left behind.
 */
export const stopLadders: Readonly<Record<ServiceName, readonly LadderStep[]>> = {
  // fast (closes sessions, checkpoints: 0.1–3 s seen), immediate (recovers at the next start), then by force
  postgres: [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5000],
    ['SIGKILL', 5000],
  ],
  // drains what is in flight for as long as it promises to (5 s)
  gateway: [
    ['SIGTERM', 5000],
    ['SIGKILL', 2000],
  ],
  // with participants in a room the first only drains and the second ends it (livekit.md §7)
  livekit: [
    ['SIGTERM', 300],
    ['SIGTERM', 1000],
    ['SIGKILL', 2000],
  ],
  hls: [
    ['SIGTERM', 2000],
    ['SIGKILL', 2000],
  ],
  // may be in the middle of a settlement batch, which ends within its budget (8 s)
  settler: [
    ['SIGTERM', 10_000],
    ['SIGKILL', 2000],
  ],
  // waits for joins under way (2 s) and for calls to a LiveKit that may be frozen (2 s each)
  guard: [
    ['SIGTERM', 10_000],
    ['SIGKILL', 2000],
  ],
};
