import { z } from 'zod';
import { enforcementSchema, guardsSchema, inRoomSchema, seatChangeSchema, seatSchema } from './seat-row.ts';

export const dataSchema = seatChangeSchema.extend({
  inRoom: inRoomSchema,
  /** null with --dry-run. `changed` is false when the seat could not publish before either. */
  downgrade: enforcementSchema.extend({ changed: z.boolean() }).nullable(),
  seat: seatSchema.nullable(),
  guards: guardsSchema.optional(),
});
