import path from 'node:path';
import { sleep } from '../kernel/clock.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { ExitCode } from '../kernel/exit-codes.ts';
import { packageVersion } from '../kernel/package-root.ts';
import { writeBugLog } from './bug-log.ts';
import type { CommandContext, CommandInput, CommandResult, CommandSpec } from './command.ts';
import { type CommandNode, walkWords } from './command-tree.ts';
import type { Frame } from './context.ts';
import { beforeDashes, scanOutputMode } from './global-flags.ts';
import { helpText } from './help-text.ts';
import type { Host } from './host.ts';
import { type Failure, failureOf } from './output/failure.ts';
import { Output } from './output/output.ts';
import { Redactor } from './output/redactor.ts';
import { Sink } from './output/sink.ts';
import type { Invocation } from './program.ts';
import { findProjectDir } from './project-dir.ts';

// After a crash the command is given this long to take down what it started.
const crashGraceMs = 10_000;

/**
 * Everything but plain help: builds the output, parses, runs, and tells what came of it. Never throws.
 * @param helpNode the node whose help argv asks for; throws TF-CLI-001
 */
export async function runFrame(
  host: Host,
  root: CommandNode,
  commands: readonly CommandSpec[],
  helpNode: (argv: readonly string[]) => CommandNode | undefined,
  groupSummaries: Readonly<Record<string, string>>,
): Promise<number> {
  const frame = createFrame(host);
  try {
    const asked = helpNode(host.argv);
    if (asked) return showHelp(frame, asked, groupSummaries);
    if (asksForVersion(host.argv)) return showVersion(frame);
    // commander costs half as much as an empty Node does: only what is parsed pays for it
    const { parseInvocation } = await import('./program.ts');
    const invocation = await parseInvocation(root, host.argv);
    if (invocation.kind === 'help') return showHelp(frame, invocation.node, groupSummaries);
    return await runInvocation(frame, invocation, commands);
  } catch (error) {
    const kind = walkWords(root, host.argv).node.spec?.kind ?? 'error';
    return tellFailure(frame, kind, error);
  } finally {
    await frame.output.flushed();
  }
}

function createFrame(host: Host): Frame {
  const stop = new AbortController();
  const redactor = new Redactor();
  const onClosed = () => stop.abort(new TrollfixError('TF-CLI-006', 'the reader of stdout went away'));
  const output = new Output({
    stdout: new Sink(host.stdout, onClosed),
    stderr: new Sink(host.stderr(), () => {}),
    mode: scanOutputMode(host.argv),
    env: host.env,
    redactor,
    nowMs: () => host.clock.monotonicMs(),
    nowIso: () => new Date(host.clock.now()).toISOString(),
  });
  const onInterrupt = () => {
    output.note('stopping; once more to stop at once');
    stop.abort(host.interrupts.reason);
  };
  if (host.interrupts.aborted) onInterrupt();
  else host.interrupts.addEventListener('abort', onInterrupt, { once: true });
  const projectDir = findProjectDir(host.cwd);
  return { host, output, redactor, projectDir, stateDir: path.join(projectDir, '.trollfix'), stop };
}

function asksForVersion(argv: readonly string[]): boolean {
  return beforeDashes(argv).some((token) => token === '--version' || token === '-V');
}

function showHelp(frame: Frame, node: CommandNode, groupSummaries: Readonly<Record<string, string>>): number {
  const { terminal } = frame.output;
  const look = { style: terminal.style, columns: terminal.columns, short: frame.host.argv.length === 0 };
  const text = helpText(node, groupSummaries, look);
  frame.output.text('help', { command: node.path.join(' '), text }, text);
  return ExitCode.ok;
}

function showVersion(frame: Frame): number {
  const data = { version: packageVersion(), node: process.versions.node };
  frame.output.text('version', data, `trollfix ${data.version} (node ${data.node})\n`);
  return ExitCode.ok;
}

async function runInvocation(
  frame: Frame,
  { spec, globals, input }: Extract<Invocation, { kind: 'run' }>,
  commands: readonly CommandSpec[],
): Promise<number> {
  const { host, stop } = frame;
  const { createContext } = await import('./context.ts');
  const context = createContext({ ...frame, globals, catalogue: commands });
  const timer = globals.timeoutMs === undefined ? undefined : stopAfter(stop, globals.timeoutMs, spec);
  try {
    const running = loadAndRun(spec, context, input);
    const outcome = await Promise.race([running, host.crash]).catch(async (error) => {
      await windDown(stop, running, error);
      throw error;
    });
    return await finish(frame, spec, outcome);
  } catch (error) {
    return tellFailure(frame, spec.kind, error);
  } finally {
    clearTimeout(timer);
  }
}

async function loadAndRun(
  spec: CommandSpec,
  context: CommandContext,
  input: CommandInput,
): Promise<CommandResult> {
  const run = await spec.load();
  return run(context, input);
}

function stopAfter(stop: AbortController, ms: number, spec: CommandSpec): NodeJS.Timeout {
  const message = `\`trollfix ${spec.path.join(' ')}\` was not done within --timeout (${ms} ms)`;
  return setTimeout(() => stop.abort(new TrollfixError('TF-CLI-007', message)), ms);
}

/** After a crash elsewhere: the command is told to stop and waited for, so that it takes down what it started. */
async function windDown(stop: AbortController, running: Promise<unknown>, error: unknown): Promise<void> {
  if (stop.signal.aborted) return;
  stop.abort(error);
  await Promise.race([running.catch(() => {}), sleep(crashGraceMs)]);
}

async function finish(frame: Frame, spec: CommandSpec, result: CommandResult): Promise<number> {
  const failure = resultFailure(frame, result);
  frame.output.result(spec.kind, result, failure);
  if (result.hold) {
    await Promise.race([result.hold(frame.output.append), frame.host.crash]);
    const after = resultFailure(frame, result);
    return after?.exitCode ?? result.exitCode ?? ExitCode.ok;
  }
  return failure?.exitCode ?? result.exitCode ?? ExitCode.ok;
}

/** What the exit code of a result stands for: its own failure, or the interruption that ended it early. */
function resultFailure(frame: Frame, result: CommandResult): Failure | undefined {
  if (result.failure) {
    const failure = describeFailure(frame, result.failure);
    return result.exitCode === undefined ? failure : { ...failure, exitCode: result.exitCode };
  }
  const { signal } = frame.stop;
  if (signal.aborted && result.exitCode === undefined) return describeFailure(frame, signal.reason);
  return undefined;
}

function tellFailure(frame: Frame, kind: string, error: unknown): number {
  const { signal } = frame.stop;
  // what fails after the stop fails because of it, unless it is about something that did not hold
  const told = signal.aborted && !outranksInterruption(error) ? signal.reason : error;
  const failure = describeFailure(frame, told);
  frame.output.failure(kind, failure);
  return failure.exitCode;
}

function outranksInterruption(error: unknown): boolean {
  return (
    error instanceof TrollfixError &&
    (error.exitCode === ExitCode.invariant || error.exitCode === ExitCode.rollbackFailed)
  );
}

function describeFailure(frame: Frame, error: unknown): Failure {
  if (error instanceof TrollfixError) return failureOf(error);
  const { host, stateDir, redactor } = frame;
  const log = writeBugLog(error, {
    stateDir,
    argv: host.argv,
    nowIso: new Date(host.clock.now()).toISOString(),
    redact: (text) => redactor.text(text),
  });
  return failureOf(error, log);
}
