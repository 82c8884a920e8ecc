/** The rules of settlement in plain TypeScript, to hold the SQL against. Nothing in here is shared with it. */

export interface ModelGift {
  readonly sender: string;
  readonly receiver: string;
  readonly amount: number;
}

export interface ModelResult {
  /** By position in the list of gifts. */
  readonly statuses: Array<'settled' | 'failed'>;
  readonly balances: Map<string, number>;
  readonly fees: number;
  /** What each sender gave, and how often. */
  readonly given: Map<string, { total: number; gifts: number }>;
}

/**
 * Gifts in order, in rounds of `batch`: each is paid if the sender's money left covers it, else it fails and later ones
 * are still tried; what is received in a round can be spent from the next round on.
 */
export function settleByTheRules(
  gifts: readonly ModelGift[],
  start: ReadonlyMap<string, number>,
  options: { batch: number; feeBps: number },
): ModelResult {
  const balances = new Map(start);
  const given = new Map<string, { total: number; gifts: number }>();
  const statuses: Array<'settled' | 'failed'> = [];
  let fees = 0;
  for (let from = 0; from < gifts.length; from += options.batch) {
    const received = new Map<string, number>();
    for (const { sender, receiver, amount } of gifts.slice(from, from + options.batch)) {
      const left = balances.get(sender) ?? 0;
      if (amount > left) {
        statuses.push('failed');
        continue;
      }
      statuses.push('settled');
      const fee = Math.floor((amount * options.feeBps) / 10_000);
      fees += fee;
      balances.set(sender, left - amount);
      received.set(receiver, (received.get(receiver) ?? 0) + amount - fee);
      const soFar = given.get(sender) ?? { total: 0, gifts: 0 };
      given.set(sender, { total: soFar.total + amount, gifts: soFar.gifts + 1 });
    }
    for (const [receiver, amount] of received) balances.set(receiver, (balances.get(receiver) ?? 0) + amount);
  }
  return { statuses, balances, fees, given };
}
