import { z } from 'zod';

export const dataSchema = z.object({
  shell: z.enum(['bash', 'zsh', 'fish']),
  script: z.string(),
});
