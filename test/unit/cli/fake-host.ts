import { Readable, Writable } from 'node:stream';
import type { CommandSpec } from '../../../src/cli/command.ts';
import { runCli } from '../../../src/cli/front-door.ts';
import type { Host } from '../../../src/cli/host.ts';
import { systemClock } from '../../../src/kernel/clock.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as the one JSON document it must be. */
  readonly json: () => JsonDocument;
}

export interface JsonDocument {
  readonly schema: string;
  readonly ok: boolean;
  readonly data: unknown;
  readonly error?: {
    code: string;
    message: string;
    hint: string;
    docs: string;
    why?: string;
    log?: string;
    details?: Record<string, unknown>;
  };
}

export interface RunOptions {
  readonly commands?: readonly CommandSpec[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: string;
  readonly tty?: boolean;
  readonly interrupts?: AbortSignal;
  readonly crash?: Promise<never>;
}

/** A terminal of our own: what is written is kept, and it says of itself what a test wants it to. */
export class FakeStream extends Writable {
  readonly isTTY: boolean;
  readonly columns = 100;
  text = '';

  constructor(isTty: boolean) {
    super({ decodeStrings: false });
    this.isTTY = isTty;
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export async function runFake(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const stdout = new FakeStream(options.tty ?? false);
  const stderr = new FakeStream(options.tty ?? false);
  const host: Host = {
    argv,
    env: options.env ?? {},
    cwd: options.cwd ?? '/nowhere',
    stdin: () => Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    stdout,
    stderr: () => stderr,
    clock: systemClock,
    interrupts: options.interrupts ?? new AbortController().signal,
    crash: options.crash ?? new Promise<never>(() => {}),
  };
  const code = await (options.commands ? runCli(host, options.commands) : runCli(host));
  return {
    code,
    stdout: stdout.text,
    stderr: stderr.text,
    // a test reads it as the document the contract promises; a wrong one fails its expectations
    json: () => JSON.parse(stdout.text) as JsonDocument,
  };
}
