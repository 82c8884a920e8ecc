import process from 'node:process';
import { DeadlineError, withDeadline } from '../kernel/deadline.ts';
import type { LaunchContext, RunningService } from './service.ts';
import { type ServiceName, stopLadders } from './service-names.ts';
import { describeExit, spawnService } from './service-process.ts';

/** What a child of our own code answers to its options, which are its first message. */
export type ChildAnswer =
  | { readonly type: 'ready'; readonly url: string; readonly port: number }
  | { readonly type: 'failed'; readonly message: string };

/** Loading the code takes 0.2–1 s on a busy machine; opening pools a few round trips more. */
const readyMs = 20_000;

/**
 * Starts a module of ours as a process, hands it `options` as the first message and waits for its answer. The child
 * ends when its IPC channel closes, so it cannot outlive a supervisor that was killed.
 */
export async function launchNodeChild(
  name: ServiceName,
  entry: string,
  options: object,
  context: LaunchContext,
  version: string,
): Promise<RunningService> {
  const running = await spawnService(
    { command: process.execPath, args: [entry], env: {}, ipc: true },
    context.log,
  );
  context.spawned(running, context.port || null);
  try {
    const answer = await withDeadline(firstAnswer(running, options), readyMs, `the start of ${name}`);
    if (answer.type === 'failed') throw new Error(answer.message);
    return { process: running, url: answer.url, port: answer.port, version };
  } catch (error) {
    await running.end(error instanceof DeadlineError ? [['SIGKILL', 2000]] : stopLadders[name]);
    throw error;
  }
}

async function firstAnswer(
  running: Awaited<ReturnType<typeof spawnService>>,
  options: object,
): Promise<ChildAnswer> {
  const answer = new Promise<ChildAnswer>((resolve) => {
    // our own children answer nothing else first
    running.child.once('message', (message) => resolve(message as ChildAnswer));
  });
  const gone = running.exited.then((exit): ChildAnswer => ({ type: 'failed', message: describeExit(exit) }));
  running.child.send({ ...options }, () => {
    // a child that is gone before it got its options is reported by `gone`
  });
  return Promise.race([answer, gone]);
}
