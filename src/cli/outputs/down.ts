import { z } from 'zod';
import { serviceNames } from '../../local/service-names.ts';

export const dataSchema = z.object({
  /** False: there was nothing to stop. */
  stopped: z.boolean(),
  /** True: the supervisor was gone already, and what it left behind was ended. */
  orphaned: z.boolean(),
  services: z.array(z.enum(serviceNames)),
});
