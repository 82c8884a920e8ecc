import { runCli } from './cli/front-door.ts';
import { systemClock } from './kernel/clock.ts';
import { TrollfixError } from './kernel/errors.ts';
import { ExitCode } from './kernel/exit-codes.ts';

// What is still open after the result is out is a leak of ours; this long it may take to close by itself.
const exitGraceMs = 2_000;

/**
 * Composition root: the only reader of argv and the environment, the only caller of `process.exit`.
 * The first SIGINT or SIGTERM aborts the command, which takes down what it started; the second ends the process at once.
 */
export async function main(): Promise<void> {
  const interrupts = new AbortController();
  const onSignal = (code: ExitCode, reason: () => TrollfixError) => () => {
    if (interrupts.signal.aborted) process.exit(code);
    interrupts.abort(reason());
  };
  process.on(
    'SIGINT',
    onSignal(ExitCode.interrupted, () => new TrollfixError('TF-CLI-006', 'interrupted')),
  );
  process.on(
    'SIGTERM',
    onSignal(ExitCode.terminated, () => new TrollfixError('TF-CLI-008', 'terminated')),
  );
  process.on(
    'SIGHUP',
    onSignal(ExitCode.terminated, () => new TrollfixError('TF-CLI-008', 'the terminal went away')),
  );

  const crash = Promise.withResolvers<never>();
  // without a listener a rejection that comes before anybody races it would end the process
  crash.promise.catch(() => {});
  process.on('uncaughtException', (error) => crash.reject(error));
  process.on('unhandledRejection', (error) => crash.reject(error));

  process.exitCode = await runCli({
    argv: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    // opening stdin costs and holds the process: only those who read it pay
    stdin: () => process.stdin,
    stdout: process.stdout,
    // opening stderr costs, and help has no use for it
    stderr: () => process.stderr,
    clock: systemClock,
    interrupts: interrupts.signal,
    crash: crash.promise,
  });
  setTimeout(() => process.exit(), exitGraceMs).unref();
}
