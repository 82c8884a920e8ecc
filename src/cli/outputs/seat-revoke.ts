import { z } from 'zod';
import {
  enforcementSchema,
  guardsSchema,
  inRoomSchema,
  seatChangeSchema,
  seatSchema,
  userSchema,
} from './seat-row.ts';

const revocationSchema = enforcementSchema.extend({
  banId: z.string().nullable(),
  revokedAt: z.string(),
  until: z.string().nullable(),
});

export const dataSchema = seatChangeSchema.extend({
  /** null when a list was revoked: then `bulk` says who. */
  user: userSchema.nullable(),
  inRoom: inRoomSchema,
  /** Other streams on which the user keeps a seat. */
  elsewhere: z.array(z.string()),
  /** null with --dry-run, and for a list. */
  revocation: revocationSchema.nullable(),
  /** null for one user. */
  bulk: z
    .object({
      /** One transaction; null with --dry-run. */
      durableMs: z.number().nullable(),
      results: z.array(
        z.object({
          /** Of stdin. */
          line: z.number(),
          user: userSchema,
          before: seatSchema.nullable(),
          inRoom: inRoomSchema,
          /** null with --dry-run. */
          revocation: revocationSchema.nullable(),
        }),
      ),
    })
    .nullable(),
  guards: guardsSchema,
});
