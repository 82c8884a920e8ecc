/** What one client, or all together, may cost the gate. */
export interface GateLimits {
  /** Request line and headers. `/rtc/v1` carries the client's whole first offer in its query: some 4 kB, gzipped. */
  readonly headerBytes: number;
  /** From the first byte of a request to the last of its headers: who sends slowly holds a socket for no longer. */
  readonly headersMs: number;
  /** For a whole request with its body. */
  readonly requestMs: number;
  /** A WHIP offer; LiveKit reads no more than 1 MiB either. */
  readonly bodyBytes: number;
  /** For the connection to LiveKit: it is on the same machine or in the same network. */
  readonly connectMs: number;
  /**
   * For LiveKit's answer, and as long again for the rest of one that has begun. A join behind a burst of 2,000 took
   * 1.1 s, its own tries for a session up to 3 s each.
   */
  readonly answerMs: number;
  /** Admissions that are being decided or dialled. A burst of 2,000 joins passes; each holds a few kB. */
  readonly pending: number;
  /** Client connections, open sessions included. */
  readonly connections: number;
  /** How long a change that was told may keep an admission waiting for its being read (1 ms is usual). */
  readonly settleMs: number;
  /**
   * Between a ban's arrival and the cut. The guard's removal takes 3 ms, a second or two where 200 are removed at once,
   * and tells the client why, which is better: the cut is for those it does not reach.
   */
  readonly cutAfterMs: number;
  /** How long one direction of a session may outlive the other. */
  readonly halfOpenMs: number;
}

export const defaultGateLimits: GateLimits = {
  headerBytes: 64 * 1024,
  headersMs: 5_000,
  requestMs: 15_000,
  bodyBytes: 1024 * 1024,
  connectMs: 2_000,
  answerMs: 10_000,
  pending: 4_096,
  connections: 20_000,
  settleMs: 500,
  cutAfterMs: 5_000,
  halfOpenMs: 10_000,
};
