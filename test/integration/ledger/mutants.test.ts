import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerDatabase } from '../harness/ledger/ledger-database.ts';
import { applyMutant, mutants } from '../harness/ledger/mutants.ts';
import { judge } from '../harness/ledger/scenario.ts';

let ledger: LedgerDatabase;
beforeAll(async () => {
  ledger = await LedgerDatabase.start();
});
afterAll(async () => ledger?.[Symbol.asyncDispose]());

describe('each guard taken out is noticed', () => {
  for (const mutant of mutants) {
    it(`${mutant.name}, by "${mutant.caughtBy.name}"`, async () => {
      expect(await judge(ledger, mutant.caughtBy), 'the schema as it is').toEqual([]);
      const undo = await applyMutant(ledger, mutant);
      try {
        expect((await judge(ledger, mutant.caughtBy)).join('; '), 'the mutant').toMatch(mutant.finding);
      } finally {
        await undo();
      }
    });
  }

  it('and all is well again without the mutants', async () => {
    for (const { caughtBy } of mutants)
      expect((await judge(ledger, caughtBy)).join('; '), caughtBy.name).toBe('');
  });
});
