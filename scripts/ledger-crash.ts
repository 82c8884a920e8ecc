import { parseArgs } from 'node:util';
import { runLedgerCrashes } from '../test/integration/harness/ledger/crash-run.ts';
import { LedgerDatabase } from '../test/integration/harness/ledger/ledger-database.ts';

/**
 * Kills a real PostgreSQL under a ledger for as long as it is told to, and judges what is left.
 * usage: node scripts/ledger-crash.ts [--seed N] [--seconds S]
 */
const { values } = parseArgs({
  options: { seed: { type: 'string' }, seconds: { type: 'string', default: '60' } },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const seconds = Number(values.seconds);
if (!Number.isInteger(seed) || !(seconds > 0)) throw new TypeError('--seed and --seconds take numbers');

const line = (text: string) => process.stdout.write(`${text}\n`);
line(`seed ${seed}, ${seconds} s`);
await using ledger = await LedgerDatabase.start();
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
