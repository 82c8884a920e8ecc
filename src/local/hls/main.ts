import process from 'node:process';
import { messageOf } from '../../kernel/errors.ts';
import type { ChildAnswer } from '../node-child.ts';
import type { HlsFault, HlsFaultKind } from './faults.ts';
import { type HlsOrigin, type HlsOriginOptions, startHlsOrigin } from './origin.ts';

/** What the supervisor may tell a running origin. */
export type HlsCommand =
  | { readonly type: 'inject'; readonly fault: HlsFault }
  | { readonly type: 'clear'; readonly kind?: HlsFaultKind };

// The process of the HLS origin: options come as the first message, and it ends when the channel closes,
// so that it does not outlive the supervisor.
process.once('message', (options) => {
  // the supervisor sends nothing else first
  void run(options as HlsOriginOptions);
});

async function run(options: HlsOriginOptions): Promise<void> {
  try {
    const origin = await startHlsOrigin(options);
    listen(origin);
    answer({ type: 'ready', url: origin.url, port: origin.port });
  } catch (error) {
    answer({ type: 'failed', message: messageOf(error) });
    process.disconnect();
  }
}

function listen(origin: HlsOrigin): void {
  process.on('message', (message) => {
    // only the supervisor holds the other end
    const command = message as HlsCommand;
    if (command.type === 'inject') origin.inject(command.fault);
    if (command.type === 'clear') origin.clear(command.kind);
  });
  const end = () => {
    void origin.stop();
    if (process.connected) process.disconnect();
  };
  process.once('disconnect', end);
  process.once('SIGTERM', end);
}

function answer(message: ChildAnswer): void {
  process.send?.(message);
}
