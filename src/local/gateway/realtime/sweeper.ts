import { sleep } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/errors.ts';
import type { Connection } from './connection.ts';
import type { RealtimeCore } from './core.ts';
import { expiredRefusal } from './token.ts';

/** Tokens expire to the second. */
const sweepMs = 1_000;
/** Phoenix closes a socket that says nothing for 60 s; supabase-js beats every 25 s. */
const silenceMs = 60_000;
const deleteOldEveryMs = 3_600_000;
/** How long a stop waits for clients to answer the close frame. */
const closingMs = 1_000;

/** What has to happen as time passes: expired tokens, silent sockets, old messages. */
export class Sweeper {
  readonly #core: RealtimeCore;
  readonly #connections: ReadonlySet<Connection>;
  #timers: NodeJS.Timeout[] = [];

  constructor(core: RealtimeCore, connections: ReadonlySet<Connection>) {
    this.#core = core;
    this.#connections = connections;
  }

  start(): void {
    if (this.#timers.length > 0) return;
    this.#timers = [
      setInterval(() => this.#sweep(), sweepMs).unref(),
      setInterval(() => this.#deleteOld(), deleteOldEveryMs).unref(),
    ];
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
  }

  /** Waits a moment for sockets that were told to close, then cuts what is left. */
  async terminateRemaining(): Promise<void> {
    const deadlineMs = performance.now() + closingMs;
    while (this.#connections.size > 0 && performance.now() < deadlineMs) await sleep(10);
    for (const connection of [...this.#connections]) connection.terminate();
  }

  #sweep(): void {
    const nowMs = Date.now();
    const silentSinceMs = performance.now() - silenceMs;
    for (const connection of [...this.#connections]) {
      if (connection.lastHeardMs < silentSinceMs) {
        this.#core.counters.idleConnectionsClosed++;
        connection.close(1000, 'idle');
        continue;
      }
      for (const channel of [...connection.channels.values()]) {
        const { expiresAtS } = channel.token;
        if (expiresAtS === null || expiresAtS * 1000 > nowMs) continue;
        channel.shutDown(expiredRefusal(expiresAtS, nowMs).message);
      }
    }
  }

  #deleteOld(): void {
    this.#core.messages
      .deleteOld()
      .catch((error) => this.#core.log.warn('old messages stay', { message: messageOf(error) }));
  }
}
