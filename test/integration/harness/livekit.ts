import os from 'node:os';
import path from 'node:path';
import type { LiveKitSearch } from '../../../src/local/livekit-binary.ts';

/** The livekit-server of this machine: named by the environment, on PATH, in the tool cache, or built into it. */
export function testLiveKitSearch(): LiveKitSearch {
  const { TROLLFIX_LIVEKIT_BIN: bin, PATH: pathEnv = '' } = process.env;
  return { bin, pathEnv, cacheDir: path.join(os.homedir(), '.cache', 'trollfix'), allowBuild: true };
}
