import { runRecordSchema } from '../../record/run-record.ts';

/** The record itself. */
export const dataSchema = runRecordSchema;
