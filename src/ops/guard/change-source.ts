import { sleep } from '../../kernel/clock.ts';
import type { SeatPair } from './guard-store.ts';

/** What a change source tells. Nothing it tells is the truth: it is where to look. */
export interface ChangeListener {
  /** Something changed; null where the source does not say about whom. */
  changed(pair: SeatPair | null): void;
  /** From now on changes are told. What happened before has to be found by looking. */
  connected(): void;
  /** Changes are missed from now on. */
  lost(reason: string): void;
}

/** Where changes of seats and bans are heard of. It dials again by itself for as long as it runs. */
export interface ChangeSource {
  readonly kind: 'listen' | 'realtime';
  /** Resolves at the first connection, or when the first attempt has failed. Idempotent. */
  start(listener: ChangeListener): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/**
 * One life of a source: dials, calls `connected` once changes flow, and resolves with the reason when they no longer
 * do, or when the signal aborts. Leaves nothing open.
 */
export type SourceSession = (
  listener: ChangeListener,
  connected: () => void,
  signal: AbortSignal,
) => Promise<string>;

/** Between two dials; the sweep goes on meanwhile and finds what would have been told. */
const redialMs = { first: 200, most: 5_000 };

/** A source that is dialled again whenever it is lost. */
export function redialed(kind: ChangeSource['kind'], session: SourceSession): ChangeSource {
  let stopping = new AbortController();
  let running: Promise<void> | undefined;

  async function run(listener: ChangeListener, signal: AbortSignal, tried: () => void): Promise<void> {
    let waitMs = redialMs.first;
    while (!signal.aborted) {
      // what a session listens to on the signal goes with it
      const over = new AbortController();
      const connected = () => {
        waitMs = redialMs.first;
        listener.connected();
        tried();
      };
      const why = await session(listener, connected, AbortSignal.any([signal, over.signal]));
      over.abort(new Error('the session is over'));
      tried();
      if (signal.aborted) return;
      listener.lost(why);
      await sleep(waitMs, signal).catch(() => {}); // woken by stop(): the loop looks at it
      waitMs = Math.min(waitMs * 2, redialMs.most);
    }
  }

  return {
    kind,
    async start(listener) {
      if (running !== undefined) return;
      stopping = new AbortController();
      const tried = Promise.withResolvers<void>();
      running = run(listener, stopping.signal, tried.resolve);
      await tried.promise;
    },
    async stop() {
      stopping.abort(new Error('stopping'));
      await running;
      running = undefined;
    },
  };
}
