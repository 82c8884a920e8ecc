import type { Clock } from '../../kernel/clock.ts';
import type { Logger } from '../../kernel/log.ts';
import type { LiveKitAdmin } from '../../target/livekit/admin.ts';
import { LiveKitError, type LiveKitFailure } from '../../target/livekit/livekit-error.ts';

/** How LiveKit's admin API fares, by the calls that were made to it. */
export type LiveKitState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ok' }
  /** No answer, or errors of its own: calls are worth repeating. */
  | { readonly kind: 'down'; readonly sinceMs: number; readonly message: string }
  /** It refuses our key or our clock: nothing a repetition would mend. Somebody must be told. */
  | { readonly kind: 'refused'; readonly sinceMs: number; readonly message: string };

export interface LiveKitWatchOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** It answers again: what it missed has to be done now. Called at the first answer too. */
  readonly onUp: () => void;
  /**
   * How far this machine's clock is ahead of LiveKit's (negative: behind), milliseconds, or null where that cannot be
   * told: beyond 60 s LiveKit refuses every token this guard signs.
   */
  readonly clockLeadMs: () => Promise<number | null>;
}

/** LiveKit tolerates 60 s between its clock and a token's; a second less accounts for how exactly it can be told. */
const toleratedMs = 59_000;

/** Watches the calls to LiveKit's admin API and tells, once, when they stop being answered and when they are again. */
export class LiveKitWatch {
  readonly #options: LiveKitWatchOptions;
  #state: LiveKitState = { kind: 'unknown' };

  constructor(options: LiveKitWatchOptions) {
    this.#options = options;
  }

  get state(): LiveKitState {
    return this.#state;
  }

  /** The same API, watched. */
  over(admin: LiveKitAdmin): LiveKitAdmin {
    const watched = async <T>(call: Promise<T>): Promise<T> => {
      try {
        const answer = await call;
        this.#answered();
        return answer;
      } catch (error) {
        if (error instanceof LiveKitError) await this.#failed(error.failure);
        throw error;
      }
    };
    return {
      url: admin.url,
      occupants: (room) => watched(admin.occupants(room)),
      remove: (room, identity) => watched(admin.remove(room, identity)),
      silence: (room, identity) => watched(admin.silence(room, identity)),
      rooms: () => watched(admin.rooms()),
      deleteRoom: (room) => watched(admin.deleteRoom(room)),
    };
  }

  #answered(): void {
    const before = this.#state;
    if (before.kind === 'ok') return;
    this.#state = { kind: 'ok' };
    if (before.kind !== 'unknown') this.#options.log.info('guard: LiveKit answers again');
    this.#options.onUp();
  }

  async #failed({ kind, message }: LiveKitFailure): Promise<void> {
    if (kind === 'refused') return this.#answered();
    const state = kind === 'unauthorized' ? 'refused' : 'down';
    if (this.#state.kind === state) return;
    const sinceMs = this.#options.clock.now();
    this.#state = { kind: state, sinceMs, message };
    if (state === 'down') {
      this.#options.log.warn('guard: LiveKit cannot be asked; what is due waits in the outbox', {
        why: message,
      });
      return;
    }
    const why = await this.#whyRefused();
    // by now it may have answered, or failed in another way
    if (this.#state.kind === 'refused') this.#state = { kind: 'refused', sinceMs, message: why };
    this.#options.log.error(`guard: ALARM: LiveKit refuses this guard, nobody can be ejected: ${why}`);
  }

  /** Key and clock are refused with the same status; the clock can be looked at. */
  async #whyRefused(): Promise<string> {
    const leadMs = await this.#options.clockLeadMs();
    if (leadMs !== null && Math.abs(leadMs) >= toleratedMs) {
      const where = leadMs > 0 ? 'ahead of' : 'behind';
      const seconds = Math.round(Math.abs(leadMs) / 1000);
      return `the clock of this machine is ${seconds} s ${where} LiveKit's, which takes tokens up to 60 s off: set it (timedatectl set-ntp true)`;
    }
    return 'the API key or secret is not the one LiveKit has';
  }
}
