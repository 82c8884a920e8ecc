/** What a send box asks before it sends, and shows while it may not. */
type ChatTurn =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** When the next message may be sent, counted from now; the send box counts down from it. */
      readonly retryInMs: number;
    };

export interface ChatThrottle {
  /** Takes the turn when there is one. A refusal takes nothing and does not move the next turn away. */
  tryAcquire(): ChatTurn;
  /** When the next message may be sent, counted from now; 0: at once. Takes nothing. */
  retryInMs(): number;
  /** The server kept a stricter pace than this one did: no turn for a whole interval from now. */
  holdBack(): void;
}

/**
 * One chat message per second and user, kept in the browser so that a spammer's client stops itself before the
 * server has to (`send_chat_message` keeps the same pace for clients that skip this).
 * @param options.now monotonic milliseconds; only differences matter
 * @param options.intervalMs least time between two messages
 */
export function createChatThrottle(options: { now: () => number; intervalMs?: number }): ChatThrottle {
  const intervalMs = options.intervalMs ?? 1000;
  let nextAtMs = Number.NEGATIVE_INFINITY;
  const retryInMs = () => {
    const now = options.now();
    // a clock that was set back would otherwise lock the box for as long as it was moved
    if (nextAtMs - now > intervalMs) nextAtMs = now + intervalMs;
    return Math.max(0, nextAtMs - now);
  };
  const holdBack = () => {
    nextAtMs = options.now() + intervalMs;
  };
  return {
    tryAcquire() {
      const leftMs = retryInMs();
      if (leftMs > 0) return { allowed: false, retryInMs: leftMs };
      holdBack();
      return { allowed: true };
    },
    retryInMs,
    holdBack,
  };
}
