import type { Session } from './gate-session.ts';
import type { Pair } from './seat-table-rows.ts';

/** The sessions that are open, by the user and the stream they belong to, whatever alias they are under. */
export class GateSessions {
  readonly #byPair = new Map<string, { readonly pair: Pair; readonly sessions: Set<Session> }>();
  /** Pairs that are about to be cut, with the timer that will. */
  readonly #cutting = new Map<string, NodeJS.Timeout>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(pair: Pair, session: Session): void {
    const key = keyOf(pair);
    const entry = this.#byPair.get(key) ?? { pair, sessions: new Set() };
    this.#byPair.set(key, entry);
    entry.sessions.add(session);
    this.#size += 1;
    void session.closed.then(() => {
      entry.sessions.delete(session);
      this.#size -= 1;
      if (entry.sessions.size === 0 && this.#byPair.get(key) === entry) this.#byPair.delete(key);
    });
  }

  /** Everybody who has a session. */
  pairs(): Pair[] {
    return [...this.#byPair.values()].map(({ pair }) => pair);
  }

  /**
   * Ends the sessions of a pair after a while, if `still` says so when the time
   * comes; `cut` is told how many. Asked again in between, the first term stands.
   */
  cutLater(
    pair: Pair,
    term: {
      readonly afterMs: number;
      readonly still: () => boolean;
      readonly cut: (sessions: number) => void;
    },
  ): void {
    const key = keyOf(pair);
    if (!this.#byPair.has(key) || this.#cutting.has(key)) return;
    const timer = setTimeout(() => {
      this.#cutting.delete(key);
      const sessions = this.#byPair.get(key)?.sessions;
      if (sessions === undefined || !term.still()) return;
      const count = sessions.size;
      for (const session of sessions) session.end();
      term.cut(count);
    }, term.afterMs);
    this.#cutting.set(key, timer);
  }

  /** Ends all sessions and resolves when they are closed. Nothing is cut any more. */
  async endAll(): Promise<void> {
    for (const timer of this.#cutting.values()) clearTimeout(timer);
    this.#cutting.clear();
    const all = [...this.#byPair.values()].flatMap(({ sessions }) => [...sessions]);
    for (const session of all) session.end();
    await Promise.all(all.map(({ closed }) => closed));
  }
}

function keyOf({ streamId, userId }: Pair): string {
  return `${streamId}:${userId}`;
}
