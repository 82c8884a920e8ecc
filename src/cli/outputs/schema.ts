import { z } from 'zod';

export const dataSchema = z.union([
  z.object({ names: z.array(z.object({ name: z.string(), describes: z.string() })) }),
  z.object({ name: z.string(), jsonSchema: z.record(z.string(), z.unknown()) }),
]);
