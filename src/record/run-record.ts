import { z } from 'zod';
import { matrixRowSchema } from './matrix-row.ts';
import { measurementSchema } from './measurement.ts';

export const machineSchema = z.object({
  cpus: z.number(),
  cpuModel: z.string(),
  memoryBytes: z.number(),
  os: z.string(),
  fingerprint: z.string(),
});

export const statusRowSchema = z.object({
  priority: z.enum(['P0', 'P1', 'P2']),
  component: z.string(),
  feature: z.string(),
  status: z.enum(['verified', 'partial', 'failed', 'not_run']),
  method: z.string(),
  evidence: z.array(z.string()),
});

export const artifactSchema = z.object({ path: z.string(), kind: z.string(), sha256: z.string() });

/** `trollfix.run/v1`: everything that is printed, charted or gated comes from one such document. */
export const runRecordSchema = z.object({
  schema: z.literal('trollfix.run/v1'),
  runId: z.string(),
  command: z.string(),
  startedAt: z.string(),
  finishedAt: z.string(),
  ok: z.boolean(),
  exitCode: z.number(),
  /** True when the run was interrupted: what stands here is what there was until then. */
  interrupted: z.boolean().optional(),
  tool: z.object({ version: z.string(), node: z.string(), commit: z.string().nullable() }),
  machine: machineSchema,
  target: z.object({
    name: z.string(),
    kind: z.enum(['embedded', 'supabase']),
    host: z.string(),
    services: z.record(z.string(), z.string()),
    /** How this target differs from the hosted service. */
    labels: z.array(z.string()),
  }),
  seed: z.number(),
  config: z.record(z.string(), z.unknown()),
  status: z.array(statusRowSchema),
  measurements: z.array(measurementSchema),
  matrix: z.array(matrixRowSchema),
  nextSteps: z.array(z.object({ text: z.string(), because: z.string() })),
  artifacts: z.array(artifactSchema),
});

export type Machine = z.infer<typeof machineSchema>;
export type StatusRow = z.infer<typeof statusRowSchema>;
export type Artifact = z.infer<typeof artifactSchema>;
export type RunRecord = z.infer<typeof runRecordSchema>;

/** The measurements every drill has, in the order of the report. */
export const drillMeasurementIds = [
  'chat.throughput',
  'chat.latency',
  'gift.ingestion',
  'gift.settlement',
  'leaderboard.read',
  'seat.ejection',
  'seat.readmission',
  'hls.startup',
  'hls.viewers',
  'token.hygiene',
] as const;

/** The rows of the original report's crash matrix. */
export const originalMatrixIds = ['chat-spam', 'seat-expiration', 'insufficient-funds', 'high-load'] as const;
