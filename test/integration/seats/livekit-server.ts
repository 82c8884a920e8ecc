import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Target } from '../../../src/config/target.ts';
import { silentProgress } from '../../../src/kernel/log.ts';
import { Secret } from '../../../src/kernel/redact.ts';
import { liveKitService } from '../../../src/local/livekit.ts';
import { findLiveKit } from '../../../src/local/livekit-binary.ts';
import { Service } from '../../../src/local/service.ts';
import { testLiveKitSearch } from '../harness/livekit.ts';
import { makeTempStateDir } from '../harness/temp-state.ts';

export interface TestLiveKit extends AsyncDisposable {
  readonly livekit: NonNullable<Target['livekit']>;
  /** The server itself, to be frozen, killed and started again. */
  readonly service: Service;
}

/** A real livekit-server on loopback; nothing else of the stack. @param webhookUrl where it reports to */
export async function startTestLiveKit(webhookUrl?: string): Promise<TestLiveKit> {
  const temp = await makeTempStateDir();
  const signal = AbortSignal.timeout(15 * 60_000);
  const binary = await findLiveKit(testLiveKitSearch(), silentProgress, signal);
  if (!binary.found) throw new Error(binary.reason);
  const apiKey = 'testkey';
  const apiSecret = randomBytes(24).toString('hex');
  const service = new Service(
    liveKitService({
      bin: binary.path,
      version: binary.version,
      logFile: path.join(temp.dir, 'livekit.log'),
      apiKey,
      apiSecret,
      webhookUrl,
    }),
    () => {},
    () => {},
  );
  const stop = async () => {
    await service.stop();
    await temp.remove();
  };
  try {
    await service.start(AbortSignal.timeout(30_000));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    livekit: { url: service.url, apiKey, apiSecret: new Secret(apiSecret) },
    service,
    [Symbol.asyncDispose]: stop,
  };
}
