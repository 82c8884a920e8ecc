import process from 'node:process';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { redact } from '../../kernel/redact.ts';
import { type Gateway, type GatewayOptions, startGateway } from './gateway.ts';

// The gateway as a child process: options come as the first IPC message, the log goes to stderr, and the process
// ends with its parent (IPC closed) or on SIGTERM, after what is in flight was answered.

/** The stop itself has a deadline per part; this one is for a stop that hangs all the same. */
const exitMs = 30_000;

let gateway: Promise<Gateway> | undefined;
let ending = false;

process.once('message', (message) => {
  // the parent is our own stack: it sends GatewayOptions without the log
  const options = message as Omit<GatewayOptions, 'log'>;
  gateway = startGateway({ ...options, log: stderrLog });
  gateway.then(
    ({ url, port }) => process.send?.({ type: 'ready', url, port }),
    (error: unknown) => {
      process.exitCode = 1;
      const failed = { type: 'failed', message: redact(messageOf(error)) };
      // end only after the answer has left
      process.send?.(failed, () => void end());
    },
  );
});
process.on('disconnect', () => void end());
process.on('SIGTERM', () => void end());
process.on('SIGINT', () => void end());

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), exitMs).unref();
  const running = await gateway?.catch(() => undefined);
  await running?.stop();
  // nothing keeps the event loop alive any more but the channel
  if (process.connected) process.disconnect();
}

function write(level: string, message: string, fields: Record<string, unknown> | undefined): void {
  const rest = fields === undefined ? '' : ` ${JSON.stringify(fields)}`;
  process.stderr.write(`${new Date().toISOString()} ${level} ${redact(message + rest)}\n`);
}

const stderrLog: Logger = {
  debug() {},
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warn', message, fields),
  error: (message, fields) => write('error', message, fields),
};
