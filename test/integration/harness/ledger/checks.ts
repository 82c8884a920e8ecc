import { rank, type Score } from './model.ts';
import type { GiftReading, LedgerReadings } from './readings.ts';
import { decisionsUnlikeReplay } from './replay.ts';

/**
 * What must be true of a ledger after its last gift is decided. Pure functions over readings, so that they can be
 * tried on planted faults, and made again later from what a run recorded.
 */
export interface Finding {
  readonly check: CheckName;
  /** How many things were looked at: a check over nothing proves nothing. */
  readonly checked: number;
  /** 0 is right. Of `money difference` the coins too many (or too few), of all others the number of offending rows. */
  readonly violations: number;
  /** The offending rows in words, the first few of them. */
  readonly rows: readonly string[];
}

export type CheckName =
  | 'money difference'
  | 'negative balance'
  | 'settled twice'
  | 'acknowledged but lost'
  | 'unsettled'
  | 'order inversion'
  | 'wallet unlike ledger'
  | 'leaderboard unlike recomputation';

/** A gift whose intake was answered, as its sender knows it. */
export interface Acknowledged {
  readonly id: string;
  readonly sender: string;
  readonly receiver: string;
  readonly stream: string;
  readonly amount: bigint;
}

/** Enough to see the pattern of what is wrong, few enough to read. */
const rowsShown = 5;
/** Lists are cut here (trollfix.merge_top). */
const topSize = 100;

/**
 * All checks over one reading.
 * @param acknowledged each sender's gifts in the order in which the sender sent them, one after the other's answer
 * @param reversed ids of gifts whose reversal was answered
 */
export function checkLedger(
  readings: LedgerReadings,
  acknowledged: readonly Acknowledged[],
  reversed: ReadonlySet<string> = new Set(),
): Finding[] {
  const { gifts, settlements, wallets } = readings;
  return [
    moneyDifference(readings),
    finding(
      'negative balance',
      wallets.length,
      wallets
        .filter(({ balance }) => balance < 0n)
        .map(({ user, balance }) => `wallet ${user} holds ${balance}`),
    ),
    finding('settled twice', settlements.length, settledTwice(readings)),
    finding('acknowledged but lost', acknowledged.length + reversed.size, [
      ...lostGifts(gifts, acknowledged),
      ...lostReversals(readings, reversed),
    ]),
    finding('unsettled', gifts.length, unsettled(readings)),
    finding('order inversion', gifts.length, [
      ...sentInversions(gifts, acknowledged),
      ...decidedInversions(readings),
      ...decisionsUnlikeReplay(readings),
    ]),
    finding('wallet unlike ledger', wallets.length, walletsUnlikeLedger(readings)),
    leaderboards(readings),
  ];
}

/** Violations by check: what a test compares with all zeros, and a person reads first. */
export function counters(findings: readonly Finding[]): Record<string, number> {
  return Object.fromEntries(findings.map(({ check, violations }) => [check, violations]));
}

function finding(check: CheckName, checked: number, rows: readonly string[]): Finding {
  return { check, checked, violations: rows.length, rows: rows.slice(0, rowsShown) };
}

function moneyDifference({ wallets, deposits, settlements, reversals }: LedgerReadings): Finding {
  const sum = (values: bigint[]) => values.reduce((total, value) => total + value, 0n);
  const held = sum(wallets.map(({ balance }) => balance));
  const kept = sum(settlements.map(({ fee }) => fee)) - sum(reversals.map(({ fee }) => fee));
  const deposited = sum(deposits.map(({ amount }) => amount));
  const difference = held + kept - deposited;
  return {
    check: 'money difference',
    checked: deposits.length,
    violations: Number(difference),
    rows: difference === 0n ? [] : [`${held} held + ${kept} fees - ${deposited} deposited = ${difference}`],
  };
}

function settledTwice({ settlements, pending, gifts }: LedgerReadings): string[] {
  const seen = new Set<number>();
  const twice = settlements.filter(({ seq }) => seen.size === seen.add(seq).size);
  const known = new Set(gifts.map(({ seq }) => seq));
  return [
    ...twice.map(({ seq }) => `gift ${seq} has more than one decision`),
    // it would be decided again in the next round
    ...pending.filter((seq) => seen.has(seq)).map((seq) => `gift ${seq} is decided and still in the queue`),
    ...[...seen].filter((seq) => !known.has(seq)).map((seq) => `decision ${seq} is of no gift`),
  ];
}

function lostGifts(gifts: readonly GiftReading[], acknowledged: readonly Acknowledged[]): string[] {
  const byId = new Map(gifts.map((gift) => [gift.id, gift]));
  return acknowledged.flatMap((sent) => {
    const kept = byId.get(sent.id);
    if (kept === undefined) return [`gift ${sent.id} was acknowledged and is not in the ledger`];
    const same =
      kept.sender === sent.sender &&
      kept.receiver === sent.receiver &&
      kept.stream === sent.stream &&
      kept.amount === sent.amount;
    return same ? [] : [`gift ${sent.id} was acknowledged with other contents than the ledger has`];
  });
}

function lostReversals({ gifts, reversals }: LedgerReadings, reversed: ReadonlySet<string>): string[] {
  const kept = new Set(reversals.map(({ seq }) => seq));
  return gifts
    .filter(({ id, seq }) => reversed.has(id) && !kept.has(seq))
    .map(({ id }) => `the reversal of gift ${id} was acknowledged and is not there`);
}

function unsettled({ gifts, settlements, pending }: LedgerReadings): string[] {
  const decided = new Set(settlements.map(({ seq }) => seq));
  const queued = new Set(pending);
  return gifts
    .filter(({ seq }) => !decided.has(seq))
    .map(
      ({ seq }) => `gift ${seq} is ${queued.has(seq) ? 'still in the queue' : 'neither queued nor decided'}`,
    );
}

/** A sender who waited for one answer before the next request has them in the ledger in that order. */
function sentInversions(gifts: readonly GiftReading[], acknowledged: readonly Acknowledged[]): string[] {
  const seqs = new Map(gifts.map(({ id, seq }) => [id, seq]));
  const last = new Map<string, number>();
  return acknowledged.flatMap(({ id, sender }) => {
    const seq = seqs.get(id);
    if (seq === undefined) return []; // lost, which has its own check
    const before = last.get(sender) ?? 0;
    last.set(sender, Math.max(seq, before));
    return seq < before ? [`gift ${seq} of ${sender} was sent after gift ${before}`] : [];
  });
}

function decidedInversions({ gifts, settlements }: LedgerReadings): string[] {
  const times = new Map(settlements.map(({ seq, settledAt }) => [seq, settledAt]));
  const last = new Map<string, { seq: number; at: number }>();
  return gifts.flatMap(({ seq, sender }) => {
    const at = times.get(seq);
    if (at === undefined) return [];
    const before = last.get(sender);
    last.set(sender, { seq, at });
    return before !== undefined && at < before.at
      ? [`gift ${seq} of ${sender} was decided before gift ${before.seq}`]
      : [];
  });
}

function walletsUnlikeLedger(readings: LedgerReadings): string[] {
  const booked = new Map<string, bigint>();
  const book = (user: string, coins: bigint) => booked.set(user, (booked.get(user) ?? 0n) + coins);
  for (const { user, amount } of readings.deposits) book(user, amount);
  const gifts = new Map(readings.gifts.map((gift) => [gift.seq, gift]));
  for (const { seq, status, fee } of readings.settlements) {
    const gift = gifts.get(seq);
    if (status !== 'settled' || gift === undefined) continue;
    book(gift.sender, -gift.amount);
    book(gift.receiver, gift.amount - fee);
  }
  for (const { sender, receiver, amount, fee } of readings.reversals) {
    book(sender, amount);
    book(receiver, fee - amount);
  }
  return readings.wallets
    .filter(({ user, balance }) => balance !== (booked.get(user) ?? 0n))
    .map(
      ({ user, balance }) => `wallet ${user} holds ${balance}, its entries make ${booked.get(user) ?? 0n}`,
    );
}

function leaderboards(readings: LedgerReadings): Finding {
  const expected = recomputeBoards(readings);
  const boards = new Map<string, string>();
  const tops = new Map<string, string>();
  for (const [scope, scores] of expected) {
    for (const { rank: place, user, total, gifts } of rank(scores)) {
      boards.set(`${scope} ${user}`, `${total} in ${gifts}`);
      if (place <= topSize) tops.set(`${scope} #${place}`, `${user} ${total} in ${gifts}`);
    }
  }
  const kept = readings.boards.map(
    ({ scope, user, total, gifts }) => [`${scope} ${user}`, `${total} in ${gifts}`] as const,
  );
  const listed = readings.tops.map(
    ({ scope, rank: place, user, total, gifts }) =>
      [`${scope} #${place}`, `${user} ${total} in ${gifts}`] as const,
  );
  const differences = [...differing('board', boards, kept), ...differing('list', tops, listed)];
  return finding('leaderboard unlike recomputation', boards.size + tops.size, differences);
}

function recomputeBoards({ gifts, settlements, reversals }: LedgerReadings): Map<string, Map<string, Score>> {
  const settled = new Set(settlements.filter(({ status }) => status === 'settled').map(({ seq }) => seq));
  for (const { seq } of reversals) settled.delete(seq);
  const boards = new Map<string, Map<string, Score>>();
  for (const gift of gifts.filter(({ seq }) => settled.has(seq))) {
    for (const scope of scopesOf(gift)) {
      const board = boards.get(scope) ?? new Map<string, Score>();
      const score = board.get(gift.sender) ?? { total: 0n, gifts: 0 };
      board.set(gift.sender, { total: score.total + gift.amount, gifts: score.gifts + 1 });
      boards.set(scope, board);
    }
  }
  return boards;
}

/** The leaderboards that a gift counts in: a synthetic one only in its run's. */
export function scopesOf({ runId, day, stream }: Pick<GiftReading, 'runId' | 'day' | 'stream'>): string[] {
  return runId === null ? ['all', `d:${day}`, `s:${stream}`] : [`run:${runId}`];
}

function differing(
  what: string,
  expected: ReadonlyMap<string, string>,
  found: ReadonlyArray<readonly [key: string, value: string]>,
): string[] {
  const seen = new Map(found);
  const keys = new Set([...expected.keys(), ...seen.keys()]);
  const wrong = [...keys]
    .filter((key) => expected.get(key) !== seen.get(key))
    .map((key) => `${what} ${key}: ${seen.get(key) ?? 'missing'}, recomputed ${expected.get(key) ?? 'none'}`);
  return found.length === seen.size
    ? wrong
    : [...wrong, `${what}: ${found.length - seen.size} entries doubled`];
}
