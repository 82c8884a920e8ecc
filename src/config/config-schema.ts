import { z } from 'zod';

/**
 * A value of a setting: written out (with `${NAME}` for variables of the environment), or where it stands:
 * `{ env: NAME }` or `{ file: path }`, the path from the folder of trollfix.yaml.
 */
export const valueSchema = z.union(
  [
    z.string().min(1),
    z.strictObject({ env: z.string().min(1) }),
    z.strictObject({ file: z.string().min(1) }),
  ],
  { error: 'expected a text, { env: NAME } or { file: path }' },
);

const rateSchema = z.union(
  [
    z.number().positive(),
    z.string().regex(/^\d+(\.\d+)?\/(s|m|h)$/, { error: 'expected operations per second, as 50 or 50/s' }),
  ],
  { error: 'expected operations per second, as 50 or 50/s' },
);

export const limitsSchema = z.strictObject({
  maxRate: rateSchema,
  maxUsers: z.int().positive(),
  chaos: z.boolean().default(false),
});

/** Everything is optional here: the environment may bring the rest, and what is missing is told by who needs it. */
export const targetSchema = z.strictObject({
  supabaseUrl: valueSchema.optional(),
  anonKey: valueSchema.optional(),
  publishableKey: valueSchema.optional(),
  serviceRoleKey: valueSchema.optional(),
  secretKey: valueSchema.optional(),
  jwtSecret: valueSchema.optional(),
  jwtSigningKey: valueSchema.optional(),
  databaseUrl: valueSchema.optional(),
  livekit: z
    .strictObject({
      url: valueSchema.optional(),
      apiKey: valueSchema.optional(),
      apiSecret: valueSchema.optional(),
      gateUrl: valueSchema.optional(),
    })
    .optional(),
  hls: z.strictObject({ url: valueSchema.optional() }).optional(),
  tokenEndpoint: valueSchema.optional(),
  limits: limitsSchema.optional(),
});

/** `trollfix.yaml` */
export const configSchema = z.strictObject({
  /** The target that is meant when none is named. */
  target: z.string().min(1).optional(),
  targets: z.record(z.string().min(1), targetSchema).default({}),
});

export type ConfigValue = z.infer<typeof valueSchema>;
export type TargetConfig = z.infer<typeof targetSchema>;
export type Config = z.infer<typeof configSchema>;
