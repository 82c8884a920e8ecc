/** What a fault hits. */
export type FaultScope = 'playlist' | 'segment' | 'all';

/** How the origin can be broken, each in the way that one check of hls.md III.2 must catch. One of a kind at a time. */
export type HlsFault =
  /** No new version of the media playlists: HLS-002. */
  | { readonly kind: 'freeze-playlist' }
  /** Answers with this status: HLS-008. */
  | { readonly kind: 'server-error'; readonly scope: FaultScope; readonly status: 500 | 502 | 503 }
  /** Holds the answer back: a slow first byte. */
  | { readonly kind: 'slow-first-byte'; readonly scope: FaultScope; readonly delayMs: number }
  /** Every second media playlist is older by so many segments, as from two edges out of step: HLS-003. */
  | { readonly kind: 'regress-sequence'; readonly segments: number }
  /** Every nth media sequence number is not there: HLS-008. */
  | { readonly kind: 'missing-segment'; readonly nth: number }
  /** Segments end early, with the length of the whole announced: HLS-008. */
  | { readonly kind: 'short-segment' }
  /** Playlists end in the middle of their last line: HLS-010. */
  | { readonly kind: 'truncated-playlist' }
  /** Another target duration than before: HLS-006. */
  | { readonly kind: 'target-duration'; readonly seconds: number }
  /** The newest segment says it is longer than the target duration: HLS-006. */
  | { readonly kind: 'over-long-segment'; readonly seconds: number }
  /** The loop starts again without its tag: HLS-005. */
  | { readonly kind: 'drop-discontinuity' }
  /** Playlists and segments come as text/plain: HLS-011. */
  | { readonly kind: 'wrong-content-type' };

export type HlsFaultKind = HlsFault['kind'];

/** The faults that are on. */
export class FaultSwitches {
  readonly #on = new Map<HlsFaultKind, { fault: HlsFault; sinceMs: number }>();

  /** Puts a fault on, or changes one of the same kind that is. */
  inject(fault: HlsFault, nowMs: number): void {
    this.#on.set(fault.kind, { fault, sinceMs: nowMs });
  }

  /** Takes one kind away, or all. */
  clear(kind?: HlsFaultKind): void {
    if (kind === undefined) this.#on.clear();
    else this.#on.delete(kind);
  }

  /** The fault of that kind, or undefined when it is off. */
  get<K extends HlsFaultKind>(kind: K): Extract<HlsFault, { kind: K }> | undefined {
    // a fault is kept under its own kind
    return this.#on.get(kind)?.fault as Extract<HlsFault, { kind: K }> | undefined;
  }

  /** The status to answer with instead, or undefined. */
  errorStatus(of: 'playlist' | 'segment'): number | undefined {
    const fault = this.get('server-error');
    return fault && hits(fault.scope, of) ? fault.status : undefined;
  }

  /** Milliseconds to hold the answer back. */
  delayMs(of: 'playlist' | 'segment'): number {
    const fault = this.get('slow-first-byte');
    return fault && hits(fault.scope, of) ? fault.delayMs : 0;
  }

  /** When a fault was put on, in the caller's milliseconds. */
  sinceMs(kind: HlsFaultKind): number | undefined {
    return this.#on.get(kind)?.sinceMs;
  }
}

function hits(scope: FaultScope, of: 'playlist' | 'segment'): boolean {
  return scope === 'all' || scope === of;
}
