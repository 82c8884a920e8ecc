import { silentProgress } from '../../../src/kernel/log.ts';
import { findLiveKit } from '../../../src/local/livekit-binary.ts';
import { testLiveKitSearch } from './livekit.ts';

/** Longer than the build itself may take: on a fresh machine the first test would otherwise time out on it. */
const buildMs = 16 * 60_000;

/** Before any test: the real livekit-server is there, built once if it must be. Without it nothing is skipped: it fails. */
export default async function setup(): Promise<void> {
  const found = await findLiveKit(testLiveKitSearch(), silentProgress, AbortSignal.timeout(buildMs));
  if (!found.found) throw new Error(`the tests need a livekit-server: ${found.reason}`);
}
