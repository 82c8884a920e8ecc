/**
 * The rules of the gift ledger in plain TypeScript, to hold the SQL against; nothing in here is shared with it. Money
 * is bigint, as amount × fee leaves the integers that a number holds.
 */

export interface ModelGift {
  readonly id: string;
  readonly sender: string;
  readonly receiver: string;
  readonly stream: string;
  readonly amount: bigint;
  /** The leaderboards it counts in once it is settled: `all`, `d:<day>`, `s:<stream>`, or `run:<run id>`. */
  readonly scopes: readonly string[];
}

export interface Decision {
  readonly status: 'settled' | 'failed';
  readonly reason: 'insufficient_funds' | null;
  readonly fee: bigint;
}

export interface Score {
  readonly total: bigint;
  readonly gifts: number;
}

/** What is asked of it again under an id that was used before. */
export type Intake = 'accepted' | 'repeated' | 'refused';

/** Why a gift is not taken back; `unknown`: there is no such gift. */
export type Reversal = 'reversed' | 'repeated' | 'unknown' | 'pending' | 'failed' | 'insufficient_funds';

export interface Round {
  readonly claimed: number;
  readonly settled: number;
  readonly failed: number;
  readonly coins: bigint;
}

/** What the platform keeps of a gift: whole coins, rounded down. */
export function feeOf(amount: bigint, feeBps: number): bigint {
  return (amount * BigInt(feeBps)) / 10_000n;
}

/**
 * One round over gifts in the order of their seq: each is paid if the sender's coins left cover it, else it fails and
 * takes nothing, and later ones are still tried. What is received can be spent from the next round on.
 * @returns decisions by position, and the wallets after the round
 */
export function decideRound(
  gifts: ReadonlyArray<Pick<ModelGift, 'sender' | 'receiver' | 'amount'>>,
  wallets: ReadonlyMap<string, bigint>,
  feeBps: number,
): { decisions: Decision[]; wallets: Map<string, bigint> } {
  const left = new Map(wallets);
  const received: Array<readonly [receiver: string, coins: bigint]> = [];
  const decisions = gifts.map(({ sender, receiver, amount }): Decision => {
    const coins = left.get(sender) ?? 0n;
    if (amount > coins) return { status: 'failed', reason: 'insufficient_funds', fee: 0n };
    const fee = feeOf(amount, feeBps);
    left.set(sender, coins - amount);
    received.push([receiver, amount - fee]);
    return { status: 'settled', reason: null, fee };
  });
  for (const [receiver, coins] of received) left.set(receiver, (left.get(receiver) ?? 0n) + coins);
  return { decisions, wallets: left };
}

/** Scores as a list: by total, then by user id, places counted from 1. */
export function rank(
  scores: ReadonlyMap<string, Score>,
): Array<{ rank: number; user: string; total: bigint; gifts: number }> {
  return [...scores]
    .filter(([, { gifts }]) => gifts > 0)
    .sort(([userA, a], [userB, b]) => {
      if (a.total !== b.total) return a.total > b.total ? -1 : 1;
      return userA < userB ? -1 : 1;
    })
    .map(([user, { total, gifts }], i) => ({ rank: i + 1, user, total, gifts }));
}

/** A ledger that follows the rules: what is taken in, who can pay, what everybody has and gave. */
export class LedgerModel {
  readonly feeBps: number;
  #wallets = new Map<string, bigint>();
  readonly #deposits = new Map<string, { user: string; amount: bigint }>();
  readonly #gifts = new Map<string, ModelGift>();
  readonly #pending: ModelGift[] = [];
  readonly #decisions = new Map<string, Decision>();
  readonly #reversed = new Set<string>();
  readonly #boards = new Map<string, Map<string, Score>>();

  constructor(feeBps: number) {
    this.feeBps = feeBps;
  }

  /** Takes a gift in and moves no money yet. The order of calls is the order of seq. */
  send(gift: ModelGift): Intake {
    const known = this.#gifts.get(gift.id);
    if (known !== undefined) return sameGift(known, gift) ? 'repeated' : 'refused';
    this.#gifts.set(gift.id, gift);
    this.#pending.push(gift);
    return 'accepted';
  }

  /** Many at once, all or none: one that is refused refuses them all. */
  sendAll(gifts: readonly ModelGift[]): { accepted: number; duplicates: number } | 'refused' {
    const listed = new Map<string, ModelGift>();
    for (const gift of gifts) {
      const known = this.#gifts.get(gift.id) ?? listed.get(gift.id);
      if (known !== undefined && !sameGift(known, gift)) return 'refused';
      listed.set(gift.id, gift);
    }
    const accepted = gifts.filter((gift) => this.send(gift) === 'accepted').length;
    return { accepted, duplicates: gifts.length - accepted };
  }

  /** Coins from outside, once per id. */
  deposit(id: string, user: string, amount: bigint): Intake {
    const known = this.#deposits.get(id);
    if (known !== undefined) return known.user === user && known.amount === amount ? 'repeated' : 'refused';
    this.#deposits.set(id, { user, amount });
    this.#wallets.set(user, this.balance(user) + amount);
    return 'accepted';
  }

  /** One round over the `limit` oldest gifts that are not decided. */
  settle(limit: number): Round {
    const claimed = this.#pending.splice(0, limit);
    const { decisions, wallets } = decideRound(claimed, this.#wallets, this.feeBps);
    this.#wallets = wallets;
    const paid = claimed.filter((_, i) => decisions[i]?.status === 'settled');
    for (const [i, gift] of claimed.entries()) this.#decisions.set(gift.id, decisions[i] as Decision); // one each
    for (const gift of paid) this.#count(gift, 1);
    return {
      claimed: claimed.length,
      settled: paid.length,
      failed: claimed.length - paid.length,
      coins: paid.reduce((sum, { amount }) => sum + amount, 0n),
    };
  }

  /** Takes a settled gift back, once and whole: the receiver's part from the receiver, the fee from the platform. */
  reverse(id: string): Reversal {
    const gift = this.#gifts.get(id);
    if (gift === undefined) return 'unknown';
    if (this.#reversed.has(id)) return 'repeated';
    const decision = this.#decisions.get(id);
    if (decision === undefined) return 'pending';
    if (decision.status === 'failed') return 'failed';
    const toGiveBack = gift.amount - decision.fee;
    if (this.balance(gift.receiver) < toGiveBack) return 'insufficient_funds';
    this.#reversed.add(id);
    this.#wallets.set(gift.receiver, this.balance(gift.receiver) - toGiveBack);
    this.#wallets.set(gift.sender, this.balance(gift.sender) + gift.amount);
    this.#count(gift, -1);
    return 'reversed';
  }

  isReversed(id: string): boolean {
    return this.#reversed.has(id);
  }

  balance(user: string): bigint {
    return this.#wallets.get(user) ?? 0n;
  }

  /** Undefined while it is pending or unknown. */
  decision(id: string): Decision | undefined {
    return this.#decisions.get(id);
  }

  /** Ids of all gifts taken in, in order. */
  get giftIds(): string[] {
    return [...this.#gifts.keys()];
  }

  get backlog(): number {
    return this.#pending.length;
  }

  board(scope: string): ReturnType<typeof rank> {
    return rank(this.#boards.get(scope) ?? new Map());
  }

  #count(gift: ModelGift, sign: 1 | -1): void {
    for (const scope of gift.scopes) {
      const board = this.#boards.get(scope) ?? new Map<string, Score>();
      const { total, gifts } = board.get(gift.sender) ?? { total: 0n, gifts: 0 };
      board.set(gift.sender, { total: total + BigInt(sign) * gift.amount, gifts: gifts + sign });
      this.#boards.set(scope, board);
    }
  }
}

function sameGift(a: ModelGift, b: ModelGift): boolean {
  return a.sender === b.sender && a.receiver === b.receiver && a.stream === b.stream && a.amount === b.amount;
}
