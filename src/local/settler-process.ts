import { sleep } from '../kernel/clock.ts';
import { pollUntil } from '../kernel/deadline.ts';
import { packageVersion } from '../kernel/package-root.ts';
import { type CliCommand, spawnCli } from './cli-child.ts';
import type { LaunchContext, ServiceDefinition } from './service.ts';
import { stopLadders } from './service-names.ts';
import { describeExit, type ServiceProcess } from './service-process.ts';

/** Loading the CLI takes 0.3 s; several times that on a starved machine. */
const readyMs = 20_000;

/** A command that cannot work says why and is gone within this: what it said was no readiness then. */
const settledMs = 150;

/**
 * The settlement worker as a process of its own. It listens on nothing: it is ready once it has said something and
 * lives on, and healthy while it lives.
 */
export function settlerService(settler: CliCommand, logFile: string): ServiceDefinition {
  return {
    name: 'settler',
    logFile,
    launch: async (context) => {
      const linesBefore = context.log.written;
      const process = await spawnCli(settler, null, context);
      try {
        await untilSettling(process, linesBefore, context);
      } catch (error) {
        await process.end(stopLadders.settler);
        throw error;
      }
      return { process, url: '', port: null, version: packageVersion() };
    },
  };
}

async function untilSettling(
  process: ServiceProcess,
  linesBefore: number,
  { log, signal }: LaunchContext,
): Promise<void> {
  const spoken = () => (log.written > linesBefore || process.exit !== undefined ? true : undefined);
  await pollUntil(spoken, { ms: readyMs, everyMs: 20, what: 'the first word of the settler', signal });
  await sleep(settledMs, signal);
  if (process.exit !== undefined) throw new Error(describeExit(process.exit));
}
