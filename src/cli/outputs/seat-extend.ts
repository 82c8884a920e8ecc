import { seatChangeSchema, seatSchema } from './seat-row.ts';

export const dataSchema = seatChangeSchema.extend({
  /** null with --dry-run. */
  seat: seatSchema.nullable(),
});
