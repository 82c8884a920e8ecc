import { z } from 'zod';

export const dataSchema = z.object({
  health: z.object({
    verdict: z.enum(['ok', 'late', 'failing', 'diverging', 'stalled']),
    backlog: z.number(),
    oldestPendingS: z.number().nullable(),
    lastStartedAt: z.string().nullable(),
    lastFinishedAt: z.string().nullable(),
    sinceLastFinishS: z.number().nullable(),
    lastStopReason: z.string().nullable(),
    lastError: z.string().nullable(),
    runsWithoutEnd: z.number(),
    /** Gifts per second. */
    ingestPerS: z.number().nullable(),
    capacityPerS: z.number().nullable(),
    /** What the schedule makes of the capacity. */
    sustainedPerS: z.number().nullable(),
    /** Runs since the last one that finished which found the settlement lock taken. */
    skippedSinceFinish: z.number(),
    /** null when it would never end, or when nothing is known of the capacity. */
    secondsToDrain: z.number().nullable(),
  }),
  /** Newest first. */
  runs: z.array(
    z.object({
      id: z.number(),
      source: z.string(),
      startedAt: z.string(),
      finishedAt: z.string().nullable(),
      rounds: z.number(),
      claimed: z.number(),
      settled: z.number(),
      failed: z.number(),
      coinsMoved: z.number(),
      backlog: z.number().nullable(),
      oldestPendingS: z.number().nullable(),
      ingestPerS: z.number().nullable(),
      drainPerS: z.number().nullable(),
      stopReason: z.string().nullable(),
      error: z.string().nullable(),
    }),
  ),
  /** Who settles at this moment; null when nobody does. */
  settling: z
    .object({
      pid: z.number(),
      application: z.string(),
      source: z.string().nullable(),
      since: z.string().nullable(),
      forS: z.number().nullable(),
    })
    .nullable(),
  /** What verdict and forecast stand on, for a person. */
  words: z.object({ verdict: z.string(), forecast: z.string() }),
});
