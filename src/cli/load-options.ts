import { parseDurationMs, parseRatePerSecond } from '../kernel/duration.ts';
import { TrollfixError } from '../kernel/errors.ts';
import type { OptionSpec } from './command.ts';

/** Reads a whole number from `least` to `most`. @throws TF-CLI-004 */
export function parseCount(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text.trim()) || value < least || value > most) {
      throw new TrollfixError('TF-CLI-004', `"${text}" is not a whole number ${range}`, {
        hint: `example: ${Math.max(least, 10)}`,
      });
    }
    return value;
  };
}

export const seedOption: OptionSpec = {
  flags: '--seed <n>',
  description: 'seed of everything random in the run (default: drawn, and printed)',
  parse: parseCount(0),
};

export const runDirOption: OptionSpec = {
  flags: '--run-dir <dir>',
  description: 'where the run leaves its folder (default: reports/<run id>)',
};

/** The load flags of every `trollfix load` command. */
export const loadOptions: readonly OptionSpec[] = [
  {
    flags: '--rate <n/s>',
    description: 'operations started per second, open-loop',
    parse: parseRatePerSecond,
  },
  { flags: '--duration <dur>', description: 'how long the load is held', parse: parseDurationMs },
  { flags: '--ramp <dur>', description: 'time to reach the rate (default: none)', parse: parseDurationMs },
  { flags: '--users <n>', description: 'synthetic users', parse: parseCount(1) },
  { flags: '--connections <n>', description: 'sockets or pooled connections', parse: parseCount(1) },
  {
    flags: '--threshold <expr>',
    description: "k6's grammar: 'chat_rtt: p(99)<250'; repeatable; fails without data",
    repeatable: true,
  },
  seedOption,
  runDirOption,
];
