import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
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

const projects: string[] = [];
afterAll(() => {
  for (const project of projects) rmSync(project, { recursive: true, force: true });
});

/** A folder without a trollfix.yaml in or above it, gone when the tests are over. */
export function emptyProject(): string {
  const project = mkdtempSync(path.join(tmpdir(), 'trollfix-e2e-'));
  // as a person's folder is: PostgreSQL, which is not root, keeps its data in it
  chmodSync(project, 0o755);
  projects.push(project);
  return project;
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
