import { z } from 'zod';

export const dataSchema = z.object({
  token: z.string(),
  url: z.string(),
  identity: z.string(),
  room: z.string(),
  expiresAt: z.string(),
  grants: z.record(z.string(), z.unknown()),
});
