import { z } from 'zod';

export const dataSchema = z.object({
  /** null: the whole ledger. */
  runId: z.string().nullable(),
  /** When the snapshot was taken, by the database's clock. */
  at: z.string(),
  elapsedMs: z.number(),
  counts: z.object({
    gifts: z.number(),
    settled: z.number(),
    failed: z.number(),
    pending: z.number(),
    /** Of the settled ones. */
    reversed: z.number(),
    wallets: z.number(),
    deposits: z.number(),
    coinsDeposited: z.number(),
    coinsHeld: z.number(),
    coinsInFees: z.number(),
  }),
  findings: z.array(
    z.object({
      /** `money.conserved`: stable, for scripts. */
      check: z.string(),
      title: z.string(),
      /** How many things were looked at. */
      checked: z.number(),
      violations: z.number(),
      /** The first offending rows; coins and seqs as text. */
      rows: z.array(z.record(z.string(), z.unknown())),
    }),
  ),
  violations: z.number(),
});
