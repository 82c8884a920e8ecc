import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { environmentName } from '../config/layers.ts';
import { packageRoot } from '../kernel/package-root.ts';
import type { CliCommand } from '../local/cli-child.ts';
import { loopback } from '../local/free-port.ts';
import type { QuotaProfile } from '../local/gateway/context.ts';
import type { DemoOptions } from '../local/gateway/demo-site.ts';
import type { GuardPorts } from '../local/guard-process.ts';
import { type Stack, startStack } from '../local/stack.ts';
import type { StackEnv } from '../local/stack-state.ts';
import { demoStreamId, putDemoStream } from '../provision/demo-stream.ts';
import { provisionUrl } from '../provision/provision-url.ts';
import type { CommandContext } from './command.ts';

export interface EmbeddedStackOptions {
  /** Whether data and keys stay for the next start. */
  readonly persistent: boolean;
  /** Forget the data and keys of earlier starts. */
  readonly fresh?: boolean;
  readonly quota: QuotaProfile | null;
  readonly livekit: boolean;
  /** With the demo page and its stream. */
  readonly demo?: boolean;
}

/**
 * Starts the embedded stack of the project, provisioned and with its settler and guard, from what the command line knows:
 * the environment, the project's folder, where its output goes.
 * @throws TF-STK-*, TF-PROV-*
 */
export function startEmbeddedStack(context: CommandContext, options: EmbeddedStackOptions): Promise<Stack> {
  const { env, stateDir, log, progress, signal } = context;
  const demo = options.demo === true ? demoPage(progress) : null;
  return startStack({
    stateDir,
    persistent: options.persistent,
    fresh: options.fresh === true,
    quota: options.quota,
    livekit: options.livekit
      ? {
          bin: env.TROLLFIX_LIVEKIT_BIN || undefined,
          cacheDir: toolCacheDir(env),
          allowBuild: true,
          pathEnv: env.PATH ?? '',
        }
      : null,
    settler: settlerCommand,
    guard: guardCommand,
    demo,
    provision: async (stackEnv) => {
      await provisionUrl(stackEnv.DATABASE_URL, { log, progress });
      if (demo !== null) await putDemoStream(stackEnv.DATABASE_URL, stackEnv.HLS_URL);
    },
    log,
    progress,
    signal,
  });
}

/** The page as the build bundled it; null in a clone that was never built. */
function demoPage(progress: CommandContext['progress']): DemoOptions | null {
  const dir = path.join(packageRoot, 'dist', 'demo');
  if (existsSync(path.join(dir, 'index.html'))) return { dir, streamId: demoStreamId };
  progress({ kind: 'note', text: 'without the demo page, which is not built: npm run build' });
  return null;
}

/** Where tools that trollfix builds are kept: `~/.cache/trollfix`, or where XDG says. */
function toolCacheDir(env: CommandContext['env']): string {
  return path.join(env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache'), 'trollfix');
}

function settlerCommand(env: StackEnv): CliCommand {
  return cliCommand(['settle', '--watch'], env);
}

function guardCommand(env: StackEnv, { gate, desk }: GuardPorts): CliCommand {
  const here = (port: number) => `${loopback}:${port}`;
  const args = ['guard', '--gate', here(gate), '--metrics', here(desk), '--webhook', here(desk)];
  const command = cliCommand(args, env);
  return {
    ...command,
    env: {
      ...command.env,
      TROLLFIX_LIVEKIT_URL: env.LIVEKIT_URL,
      TROLLFIX_LIVEKIT_API_KEY: env.LIVEKIT_API_KEY,
      TROLLFIX_LIVEKIT_API_SECRET: env.LIVEKIT_API_SECRET,
    },
  };
}

/** A command as the CLI runs it, pointed at the stack by its environment alone: it has no project folder. */
function cliCommand(args: readonly string[], env: StackEnv): CliCommand {
  return {
    command: process.execPath,
    args: [path.join(packageRoot, 'bin', 'trollfix.js'), ...args],
    env: {
      TROLLFIX_TARGET: environmentName,
      TROLLFIX_SUPABASE_URL: env.SUPABASE_URL,
      TROLLFIX_ANON_KEY: env.SUPABASE_ANON_KEY,
      TROLLFIX_DATABASE_URL: env.DATABASE_URL,
    },
  };
}
