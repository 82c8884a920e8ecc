import { pathToFileURL } from 'node:url';
import { siblingModule } from '../kernel/package-root.ts';
import type { LaunchContext } from './service.ts';
import { type ServiceProcess, spawnService } from './service-process.ts';

/** A command of the CLI's that runs as a service: this room may not import it. */
export interface CliCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Starts it so that it ends with its supervisor, as a child that watches its own channel would. */
export async function spawnCli(
  { command, args, env }: CliCommand,
  port: number | null,
  context: LaunchContext,
): Promise<ServiceProcess> {
  const preload = `--import=${pathToFileURL(siblingModule('exit-with-parent', import.meta.url))}`;
  const options = [env.NODE_OPTIONS, preload].filter(Boolean).join(' ');
  const process = await spawnService(
    { command, args, env: { ...env, NODE_OPTIONS: options }, ipc: true },
    context.log,
  );
  context.spawned(process, port);
  return process;
}
