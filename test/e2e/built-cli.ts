import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../src/kernel/package-root.ts';

export const bin = path.join(packageRoot, 'bin', 'trollfix.js');

export interface CliRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[];
  /** Written into stdin, which is then closed; without it stdin is empty. `open` leaves it open. */
  readonly stdin?: string | 'open';
  readonly onStart?: (child: ChildProcess) => void;
}

/** A folder without a trollfix.yaml in or above it. */
export function emptyProject(): string {
  return mkdtempSync(path.join(tmpdir(), 'trollfix-e2e-'));
}

/** Runs the built CLI as a user does: its own process, pipes for streams, an environment with nothing of ours. */
export function runCli(argv: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  // `--` as in the first line of the launcher
  return run(process.execPath, [...(options.nodeFlags ?? []), '--', bin, ...argv], options);
}

export function run(command: string, argv: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const { cwd = emptyProject(), env = {}, stdin = '', onStart } = options;
  const child = spawn(command, argv, {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  // the program may be gone before it has read what it is given
  child.stdin.on('error', () => {});
  if (stdin !== 'open') child.stdin.end(stdin);
  onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...texts }));
  });
}
