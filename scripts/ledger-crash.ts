import { parseArgs } from 'node:util';
import { runLedgerCrashes } from '../test/integration/harness/ledger/crash-run.ts';
import { LedgerDatabase } from '../test/integration/harness/ledger/ledger-database.ts';
import { applyMutant, mutants } from '../test/integration/harness/ledger/mutants.ts';

/**
 * Kills a real PostgreSQL under a ledger for as long as it is told to, and judges what is left. Exits 1 when anything
 * is wrong. With `--mutant`, a part of the name of one in mutants.ts, a guard is taken out first: to see what random
 * load finds by itself and what only the directed checks do.
 * usage: node scripts/ledger-crash.ts [--seed N] [--seconds S] [--mutant TEXT]
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    mutant: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const seconds = Number(values.seconds);
if (!Number.isInteger(seed) || !(seconds > 0)) throw new TypeError('--seed and --seconds take numbers');

const line = (text: string) => process.stdout.write(`${text}\n`);
line(`seed ${seed}, ${seconds} s`);
await using ledger = await LedgerDatabase.start();
if (values.mutant !== undefined) {
  const mutant = mutants.find(({ name }) => name.includes(values.mutant ?? ''));
  if (mutant === undefined) throw new TypeError(`one of: ${mutants.map(({ name }) => name).join('; ')}`);
  await applyMutant(ledger, mutant);
  line(`mutant: ${mutant.name}`);
}
const { account, kills, readings, findings, roundErrors } = await runLedgerCrashes(ledger, {
  ...{ seed, seconds, note: line },
});
const settled = readings.settlements.filter(({ status }) => status === 'settled').length;
const backends = kills.filter(({ victim }) => victim === 'backend').length;
line(`
${account.requests} requests, ${account.repeated} of them repetitions; ${account.unknown} attempts without an answer (${account.hungUp} clients hung up)
${readings.gifts.length} gifts: ${settled} settled, ${readings.settlements.length - settled} failed, ${readings.reversals.length} reversed
${kills.length} kills: ${backends} of a backend, ${kills.length - backends} of the server
`);
for (const { check, violations, checked } of findings)
  line(`${String(violations).padStart(8)}  ${check} (of ${checked})`);
const wrong = [...findings.flatMap(({ rows }) => rows), ...account.contradictions, ...roundErrors];
for (const row of wrong) line(`  ${row}`);
if (wrong.length > 0) process.exitCode = 1;
