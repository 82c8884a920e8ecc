import { z } from 'zod';
import { serviceNames } from '../../local/service-names.ts';

const serviceSchema = z.object({
  name: z.enum(serviceNames),
  url: z.string(),
  port: z.number().nullable(),
  pid: z.number().nullable(),
  health: z.enum(['healthy', 'starting', 'dead', 'missing']),
  version: z.string().nullable(),
  log: z.string(),
  /** Why it is dead or missing. */
  reason: z.string().optional(),
});

/** `trollfix status`, and what `trollfix up` answers. */
export const dataSchema = z.object({
  state: z.enum(['down', 'starting', 'up', 'stopping', 'orphaned']),
  /** True when `up` found it up already. */
  alreadyUp: z.boolean().optional(),
  stateDir: z.string(),
  supervisorPid: z.number().nullable(),
  startedAt: z.string().nullable(),
  services: z.array(serviceSchema),
  env: z.record(z.string(), z.string()),
});

export type StatusData = z.infer<typeof dataSchema>;
