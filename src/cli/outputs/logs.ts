import { z } from 'zod';
import { serviceNames } from '../../local/service-names.ts';

export const dataSchema = z.object({
  lines: z.array(z.object({ service: z.enum([...serviceNames, 'supervisor']), text: z.string() })),
});
