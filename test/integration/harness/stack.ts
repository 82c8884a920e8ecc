import type { Target } from '../../../src/config/target.ts';
import { type Logger, silentLogger, silentProgress } from '../../../src/kernel/log.ts';
import type { QuotaProfile } from '../../../src/local/gateway/context.ts';
import { type Stack, type StackOptions, startStack } from '../../../src/local/stack.ts';
import { type StackEnv, stackTarget } from '../../../src/local/stack-state.ts';
import { testLiveKitSearch } from './livekit.ts';
import { makeTempStateDir } from './temp-state.ts';

export interface TestStackOptions {
  readonly livekit?: boolean;
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
