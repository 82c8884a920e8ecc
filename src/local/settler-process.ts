import { pathToFileURL } from 'node:url';
import { packageVersion, siblingModule } from '../kernel/package-root.ts';
import type { ServiceDefinition } from './service.ts';
import { spawnService } from './service-process.ts';

/** How the settler is started: a command of the CLI's, since this room may not import it. */
export interface SettlerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The settlement worker as a process of its own. It listens on nothing: it is healthy while it lives. */
export function settlerService(settler: SettlerCommand, logFile: string): ServiceDefinition {
  return {
    name: 'settler',
    logFile,
    launch: async (context) => {
      const preload = `--import=${pathToFileURL(siblingModule('exit-with-parent', import.meta.url))}`;
      const options = [settler.env.NODE_OPTIONS, preload].filter(Boolean).join(' ');
      const process = await spawnService(
        { ...settler, env: { ...settler.env, NODE_OPTIONS: options }, ipc: true },
        context.log,
      );
      context.spawned(process, null);
      return { process, url: '', port: null, version: packageVersion() };
    },
  };
}
