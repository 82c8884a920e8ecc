import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { packageRoot } from '../src/kernel/package-root.ts';
import { type Figure, median } from './figure.ts';

// Odd, so that the median is one of them; enough that two disturbed runs do not move it.
const rounds = 21;

/** How long the CLI takes to answer, against an empty Node script started in turn with it. */
export async function benchCli(): Promise<Figure[]> {
  const bin = path.join(packageRoot, 'bin', 'trollfix.js');
  const lines: Readonly<Record<string, CommandLine>> = {
    empty: { argv: ['-e', ''], exitCode: 0 },
    help: { argv: ['--', bin, '--help'], exitCode: 0 },
    commandHelp: { argv: ['--', bin, 'load', 'chat', '--help'], exitCode: 0 },
    usageError: { argv: ['--', bin, 'laod'], exitCode: 2 },
    exitCodes: { argv: ['--', bin, 'help', 'exit-codes'], exitCode: 0 },
  };
  const timesMs = new Map(Object.keys(lines).map((name) => [name, [] as number[]]));
  // the first round warms the compile cache and is not counted
  for (let round = 0; round <= rounds; round++) {
    for (const [name, line] of Object.entries(lines)) {
      const ms = await startMs(line);
      if (round > 0) timesMs.get(name)?.push(ms);
    }
  }
  const emptyMs = median(timesMs.get('empty') ?? []);
  const against = `an empty Node script, ${emptyMs.toFixed(1)} ms`;
  const ratio = (figure: string, name: string, limit: number): Figure => {
    const value = median(timesMs.get(name) ?? []) / emptyMs;
    return { figure, value, unit: 'times', against, goal: `< ${limit}`, ok: value < limit };
  };
  return [
    ratio('trollfix --help', 'help', 2),
    ratio('trollfix load chat --help', 'commandHelp', 2),
    // these load commander as well, which alone costs half an empty Node
    ratio('a mistyped command', 'usageError', 3),
    ratio('trollfix help exit-codes', 'exitCodes', 3),
  ];
}

interface CommandLine {
  readonly argv: readonly string[];
  readonly exitCode: number;
}

/** @throws when it does not end as it should: what breaks at once would be the fastest of all */
async function startMs({ argv, exitCode }: CommandLine): Promise<number> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.resume();
  child.stderr.resume();
  const [code] = await once(child, 'close');
  const ms = performance.now() - startedMs;
  if (code !== exitCode) throw new Error(`${argv.join(' ')} ended with ${code}, not ${exitCode}`);
  return ms;
}
