import { describeMachine } from '../src/run/machine.ts';
import { benchCli } from './cli.ts';
import type { Benchmark, Figure } from './figure.ts';
import { benchLedger } from './ledger/ledger.ts';
import { benchSeats } from './seats/seats.ts';

/** `npm run bench -- NAME [--json] [--full] [--only=PART]`: exits 1 when a figure misses its goal, 2 for an unknown name. */
const benchmarks: Readonly<Record<string, Benchmark>> = {
  cli: benchCli,
  ledger: benchLedger,
  seats: benchSeats,
};

function textOf(figures: readonly Figure[]): string {
  return figures
    .map(({ figure, value, unit, against, goal, ok }) => {
      const verdict = ok ? 'ok' : 'MISSED';
      return `${verdict.padEnd(7)} ${figure}: ${value.toFixed(2)} ${unit} (goal ${goal}) against ${against}\n`;
    })
    .join('');
}

const [name = '', ...flags] = process.argv.slice(2);
const only = flags.find((flag) => flag.startsWith('--only='))?.slice('--only='.length);
const benchmark = benchmarks[name];
if (benchmark) {
  const figures = await benchmark({
    full: flags.includes('--full'),
    ...(only === undefined ? {} : { only }),
    note: (text) => process.stderr.write(`${text}\n`),
  });
  const document = { schema: 'trollfix.bench/v1', name, machine: describeMachine(), figures };
  process.stdout.write(flags.includes('--json') ? `${JSON.stringify(document, null, 2)}\n` : textOf(figures));
  process.exitCode = figures.every(({ ok }) => ok) ? 0 : 1;
} else {
  process.stderr.write(`there is no benchmark "${name}": ${Object.keys(benchmarks).join(', ')}\n`);
  process.exitCode = 2;
}
