import path from 'node:path';
import process from 'node:process';
import type { Target } from '../../../src/config/target.ts';
import { type Logger, silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import { packageRoot } from '../../../src/kernel/package-root.ts';
import type { CliCommand } from '../../../src/local/cli-child.ts';
import type { QuotaProfile } from '../../../src/local/gateway/context.ts';
import type { GuardPorts } from '../../../src/local/guard-process.ts';
import { type Stack, type StackOptions, startStack } from '../../../src/local/stack.ts';
import { type StackEnv, stackTarget } from '../../../src/local/stack-state.ts';
import { testLiveKitSearch } from './livekit.ts';
import { makeTempStateDir } from './temp-state.ts';

export interface TestStackOptions {
  readonly livekit?: boolean;
  /** With a guard, from the sources; it needs LiveKit and the migrations. */
  readonly guard?: boolean;
  readonly hls?: boolean;
  /** With the migrations of the app. */
  readonly provision?: boolean;
  readonly quota?: QuotaProfile;
  readonly log?: Logger;
}

export interface TestStack extends Stack {
  readonly target: Target;
  readonly env: StackEnv;
  readonly stateDir: string;
}

/** The longest a start may take before the test gives up: 2–4 s are usual, with LiveKit and migrations. */
const startMs = 90_000;

/** A whole stack of its own in a temporary folder: Postgres and gateway always, the rest as asked for. */
export async function startTestStack(options: TestStackOptions = {}): Promise<TestStack> {
  const temp = await makeTempStateDir();
  try {
    const stack = await startStack(testStackOptions(temp.dir, options));
    const stop = async () => {
      await stack.stop();
      await temp.remove();
    };
    return {
      get state() {
        return stack.state;
      },
      adminUrl: stack.adminUrl,
      target: stackTarget(stack.state),
      env: stack.state.env,
      stateDir: temp.dir,
      onServiceExit: (listener) => stack.onServiceExit(listener),
      service: (name) => stack.service(name),
      injectHlsFault: (fault) => stack.injectHlsFault(fault),
      clearHlsFault: (kind) => stack.clearHlsFault(kind),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await temp.remove();
    throw error;
  }
}

/** Options for a stack in `stateDir`, silent and of short life. */
export function testStackOptions(stateDir: string, options: TestStackOptions = {}): StackOptions {
  return {
    stateDir,
    persistent: false,
    quota: options.quota ?? null,
    livekit: options.livekit ? testLiveKitSearch() : null,
    hls: options.hls ? { bitsPerS: null } : null,
    settler: null,
    guard: options.guard ? guardFromSources : null,
    ...(options.provision ? { provision: provisionTestStack } : {}),
    log: options.log ?? silentLogger,
    progress: silentProgress,
    signal: AbortSignal.timeout(startMs),
  };
}

async function provisionTestStack(env: StackEnv): Promise<void> {
  const { provisionUrl } = await import('../../../src/provision/provision-url.ts');
  await provisionUrl(env.DATABASE_URL, { log: silentLogger, progress: silentProgress });
}

/** As the CLI starts its guard, but not from what was built last. */
function guardFromSources(env: StackEnv, { gate, desk }: GuardPorts): CliCommand {
  const here = (port: number) => `127.0.0.1:${port}`;
  const main = path.join(packageRoot, 'test/integration/harness/cli-main.ts');
  return {
    command: process.execPath,
    args: [main, 'guard', '--gate', here(gate), '--metrics', here(desk), '--webhook', here(desk)],
    env: {
      TROLLFIX_TARGET: 'env',
      TROLLFIX_SUPABASE_URL: env.SUPABASE_URL,
      TROLLFIX_ANON_KEY: env.SUPABASE_ANON_KEY,
      TROLLFIX_DATABASE_URL: env.DATABASE_URL,
      TROLLFIX_LIVEKIT_URL: env.LIVEKIT_URL,
      TROLLFIX_LIVEKIT_API_KEY: env.LIVEKIT_API_KEY,
      TROLLFIX_LIVEKIT_API_SECRET: env.LIVEKIT_API_SECRET,
    },
  };
}
