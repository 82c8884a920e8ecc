import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerDatabase } from '../harness/ledger/ledger-database.ts';
import * as lockScenarios from '../harness/ledger/lock-scenarios.ts';
import { judge } from '../harness/ledger/scenario.ts';

let ledger: LedgerDatabase;
beforeAll(async () => {
  ledger = await LedgerDatabase.start();
});
afterAll(async () => ledger?.[Symbol.asyncDispose]());

describe('lock traps (directed sessions)', () => {
  for (const scenario of Object.values(lockScenarios)) {
    it(scenario.name, async () => {
      expect(await judge(ledger, scenario)).toEqual([]);
    });
  }
});
