import { sleep } from '../../../kernel/clock.ts';
import type { Channel } from './channel.ts';

const checkEveryMs = 500; // @replication_ready_check_interval of supabase/realtime
/** How long a channel that asked for it waits for the stream before it is shut. */
const readyWithinMs = 15_000;

/** `config.broadcast.replication_ready`: tells the channel when database broadcasts flow, or shuts it. */
export function announceReplicationReady(channel: Channel): void {
  void waitForStream(channel);
}

async function waitForStream(channel: Channel): Promise<void> {
  const deadlineMs = performance.now() + readyWithinMs;
  while (!channel.closed) {
    if (channel.core.replicationReady()) {
      channel.system('system', 'ok', 'Replication connection established');
      return;
    }
    if (performance.now() >= deadlineMs) {
      channel.shutDown('Replication connection was not established in time');
      return;
    }
    await sleep(checkEveryMs);
  }
}
