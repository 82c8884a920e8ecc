import { TrollfixError } from '../kernel/errors.ts';
import type { CommandContext, CommandSpec, GlobalFlags } from './command.ts';
import type { Host, InputStream } from './host.ts';
import type { Output } from './output/output.ts';
import type { Redactor } from './output/redactor.ts';
import { createPrompts } from './prompts.ts';

/** What lasts from argv to the exit code. */
export interface Frame {
  readonly host: Host;
  readonly output: Output;
  readonly redactor: Redactor;
  readonly projectDir: string;
  readonly stateDir: string;
  /** Aborted by a signal of the host, by `--timeout`, by a closed stdout or by a crash. */
  readonly stop: AbortController;
}

export interface ContextParts extends Frame {
  readonly globals: GlobalFlags;
  readonly catalogue: readonly CommandSpec[];
}

// The largest thing anybody pipes in is an env file or a token; more is a mistake, not input.
const stdinBytesLimit = 1024 * 1024;

/** What a command is handed. Configuration is read when it is first asked for, once. */
export function createContext(parts: ContextParts): CommandContext {
  const { host, output, redactor, globals, stop } = parts;
  const readStdin = once(() => readAll(host.stdin(), stop.signal));
  const resolver = once(async () => {
    const { createTargetResolver } = await import('./resolve-target.ts');
    return createTargetResolver({
      globals,
      env: host.env,
      cwd: host.cwd,
      projectDir: parts.projectDir,
      stateDir: parts.stateDir,
      readStdin,
      learnSecret: (secret) => redactor.add(secret),
      log: output.log,
    });
  });
  return {
    catalogue: parts.catalogue,
    globals,
    env: host.env,
    cwd: host.cwd,
    projectDir: parts.projectDir,
    stateDir: parts.stateDir,
    clock: host.clock,
    signal: stop.signal,
    log: output.log,
    progress: output.progress,
    terminal: output.terminal,
    prompts: createPrompts({
      stdin: host.stdin,
      stderr: host.stderr(),
      yes: globals.yes,
      input: globals.input,
      signal: stop.signal,
      beforeAsking: () => output.pauseProgress(),
    }),
    event: output.event,
    target: async () => (await resolver()).target(),
    configuration: async () => (await resolver()).configuration(),
    redact: (text) => redactor.text(text),
    readStdin,
  };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

async function readAll(stdin: InputStream, signal: AbortSignal): Promise<string> {
  if (stdin.isTTY === true) {
    throw new TrollfixError('TF-CLI-003', 'nothing is piped into stdin', {
      why: 'this reads standard input, and that is a terminal',
      hint: 'pipe it in: `… | trollfix …`, or `trollfix … < file`',
    });
  }
  const onAbort = () => stdin.destroy(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stdin) {
      const buffer = Buffer.from(chunk);
      bytes += buffer.length;
      if (bytes > stdinBytesLimit) {
        throw new TrollfixError('TF-CLI-003', `stdin is larger than ${stdinBytesLimit} bytes`);
      }
      chunks.push(buffer);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
