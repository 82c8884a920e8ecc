import { z } from 'zod';

export const dataSchema = z.object({ runId: z.string(), removed: z.record(z.string(), z.number()) });
