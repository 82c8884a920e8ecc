import type { SeededRandom } from '../../../../src/kernel/random.ts';

/**
 * What the senders of a crash run do, from a seed alone: who sends what to whom, what is sent again, when a client
 * hangs up. How it interleaves is up to the machine; that the ledger comes out right must not be.
 */

/** People and streams by number. */
export interface PlannedGift {
  readonly id: string;
  readonly sender: number;
  readonly receiver: number;
  readonly stream: number;
  readonly amount: number;
}

export interface Request {
  /** One: the sender's own request. More: a list of trusted intake. */
  readonly gifts: readonly PlannedGift[];
  /** It was answered before; the answer must be the same. */
  readonly repeated: boolean;
  /** The client hangs up so long after it has sent the request; null: it waits for the answer. */
  readonly hangUpAfterMs: number | null;
}

export interface World {
  readonly people: number;
  readonly streams: number;
}

/** Of what a client sends; more than a bad network would make of it. */
const repeatedShare = 0.15;
const hangUpShare = 0.03;
/** An answer takes 1 to 5 ms on an idle machine: some of these come before, some after it was given. */
const hangUpWithinMs = 5;
/** Of the gifts; so large that many of them fail and the cheaper ones after them have to be tried. */
const largeShare = 0.05;

/** One client, endless: somebody who sends one gift after the other, or an intake that sends lists for many people. */
export class PlannedSender {
  readonly #random: SeededRandom;
  readonly #world: World;
  readonly #plays: readonly number[];
  /** Gifts per list, at most; null: own gifts, one per request. */
  readonly #listSize: number | null;
  readonly #sent: PlannedGift[][] = [];

  constructor(random: SeededRandom, world: World, plays: readonly number[], listSize: number | null) {
    this.#random = random;
    this.#world = world;
    this.#plays = plays;
    this.#listSize = listSize;
  }

  /** Whether it sends lists. */
  get lists(): boolean {
    return this.#listSize !== null;
  }

  next(): Request {
    const random = this.#random;
    const hangUpAfterMs = random.next() < hangUpShare ? random.next() * hangUpWithinMs : null;
    if (this.#sent.length > 0 && random.next() < repeatedShare) {
      return { gifts: random.pick(this.#sent), repeated: true, hangUpAfterMs };
    }
    const gifts = Array.from({ length: 1 + random.int(this.#listSize ?? 1) }, () => this.#gift());
    this.#sent.push(gifts);
    return { gifts, repeated: false, hangUpAfterMs };
  }

  #gift(): PlannedGift {
    const random = this.#random;
    const sender = random.pick(this.#plays);
    return {
      id: random.uuid(),
      sender,
      receiver: (sender + 1 + random.int(this.#world.people - 1)) % this.#world.people,
      stream: random.int(this.#world.streams),
      amount: 1 + random.int(random.next() < largeShare ? 150_000 : 60),
    };
  }
}

/** What is killed with SIGKILL: one backend, which takes the others down with it, or the postmaster and all children. */
export interface PlannedKill {
  readonly victim: 'backend' | 'server';
  /**
   * Where a round is held while it is killed: before it has the wallets, after it has written decisions and money, or
   * not held at all, so that it hits whatever runs.
   */
  readonly at: 'wallets' | 'leaderboard' | 'anywhere';
  /** Gifts acknowledged between the kill before and this one: load must have come back. */
  readonly afterGifts: number;
}

const kills = [
  { victim: 'backend', at: 'wallets' },
  { victim: 'server', at: 'leaderboard' },
  { victim: 'backend', at: 'leaderboard' },
  { victim: 'server', at: 'anywhere' },
] as const;

/** How many kills a cycle has: two of a backend, two of the server. */
export const killsPerCycle = kills.length;

/** Endless: cycle after cycle of all kinds of kill, each in an order of its own. */
export function* plannedKills(random: SeededRandom): Generator<PlannedKill, never> {
  while (true) {
    const left = [...kills];
    while (left.length > 0) {
      const [kill] = left.splice(random.int(left.length), 1);
      if (kill !== undefined) yield { ...kill, afterGifts: 200 + random.int(400) };
    }
  }
}
