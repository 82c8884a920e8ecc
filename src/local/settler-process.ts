import { pathToFileURL } from 'node:url';
import { sleep } from '../kernel/clock.ts';
import { pollUntil } from '../kernel/deadline.ts';
import { packageVersion, siblingModule } from '../kernel/package-root.ts';
import type { LaunchContext, ServiceDefinition } from './service.ts';
import { stopLadders } from './service-names.ts';
import { describeExit, type ServiceProcess, spawnService } from './service-process.ts';

/** How the settler is started: a command of the CLI's, since this room may not import it. It says so when it works. */
export interface SettlerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Loading the CLI takes 0.3 s; several times that on a starved machine. */
const readyMs = 20_000;

/** A command that cannot work says why and is gone within this: what it said was no readiness then. */
const settledMs = 150;

/**
 * The settlement worker as a process of its own. It listens on nothing: it is ready once it has said something and
 * lives on, and healthy while it lives.
 */
export function settlerService(settler: SettlerCommand, logFile: string): ServiceDefinition {
  return {
    name: 'settler',
    logFile,
    launch: async (context) => {
      const preload = `--import=${pathToFileURL(siblingModule('exit-with-parent', import.meta.url))}`;
      const options = [settler.env.NODE_OPTIONS, preload].filter(Boolean).join(' ');
      const linesBefore = context.log.written;
      const process = await spawnService(
        { ...settler, env: { ...settler.env, NODE_OPTIONS: options }, ipc: true },
        context.log,
      );
      context.spawned(process, null);
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
