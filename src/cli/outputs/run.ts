import { z } from 'zod';
import { runRecordSchema } from '../../record/run-record.ts';

/** `data` of `drill`, `load` and `chaos run`: the run record itself, and where its folder is. */
export const dataSchema = runRecordSchema.extend({ folder: z.string() });
