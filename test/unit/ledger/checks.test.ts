import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../src/kernel/random.ts';
import {
  type Acknowledged,
  type CheckName,
  checkLedger,
  counters,
  scopesOf,
} from '../../integration/harness/ledger/checks.ts';
import { LedgerModel } from '../../integration/harness/ledger/model.ts';
import type { GiftReading, LedgerReadings } from '../../integration/harness/ledger/readings.ts';

const people = ['ann', 'bob', 'cem', 'dia'];
const roundSize = 8;
const feeBps = 500;

/** What a ledger reads after 60 gifts in rounds of 8 and a reversal, all by the rules; a third of the gifts fail. */
function soundLedger(): { readings: LedgerReadings; acknowledged: Acknowledged[] } {
  const random = new SeededRandom(4);
  const model = new LedgerModel(feeBps);
  for (const user of people) model.deposit(user, user, 300n);
  const gifts = Array.from({ length: 60 }, (_, i): GiftReading => {
    const sender = random.pick(people);
    const receiver = random.pick(people.filter((user) => user !== sender));
    const place = { stream: random.pick(['s1', 's2']), day: '2026-11-24', runId: null };
    return {
      seq: i + 1,
      id: `gift ${i + 1}`,
      sender,
      receiver,
      amount: BigInt(20 + random.int(120)),
      ...place,
    };
  });
  for (const gift of gifts) model.send({ ...gift, scopes: scopesOf(gift) });
  while (model.settle(roundSize).claimed > 0);
  const settlements = gifts.map(({ seq, id }) => {
    const decision = model.decision(id);
    if (decision === undefined) throw new Error(`${id} is not decided`);
    return { seq, ...decision, settledAt: 1000 * Math.ceil(seq / roundSize) };
  });
  const reversed = gifts.find(({ id }) => model.reverse(id) === 'reversed') as GiftReading; // some receiver has coins
  const fee = settlements[reversed.seq - 1]?.fee ?? 0n;
  const boards = ['all', 'd:2026-11-24', 's:s1', 's:s2'].flatMap((scope) =>
    model.board(scope).map((entry) => ({ scope, ...entry })),
  );
  return {
    readings: {
      feeBps,
      gifts,
      settlements,
      reversals: [{ ...reversed, fee, reversedAt: 1_000_000 }],
      pending: [],
      wallets: people.map((user) => ({ user, balance: model.balance(user) })),
      deposits: people.map((user) => ({ user, amount: 300n })),
      boards,
      tops: boards,
    },
    acknowledged: gifts,
  };
}

const zero: Record<CheckName, number> = {
  'money difference': 0,
  'negative balance': 0,
  'settled twice': 0,
  'acknowledged but lost': 0,
  unsettled: 0,
  'order inversion': 0,
  'wallet unlike ledger': 0,
  'leaderboard unlike recomputation': 0,
};
const sound = soundLedger();
const { readings } = sound;
const count = (changed: Partial<LedgerReadings>, acknowledged = sound.acknowledged) =>
  counters(checkLedger({ ...readings, ...changed }, acknowledged));
const without = <T>(list: readonly T[], at: number) => list.toSpliced(at, 1);
const settledAt = (seq: number) => readings.settlements.findIndex((row) => row.seq === seq);
const firstSettled = readings.settlements.findIndex(
  ({ status, seq }) => status === 'settled' && seq !== readings.reversals[0]?.seq,
);

describe('the checks', () => {
  it('find nothing in a ledger that keeps the rules, and look at something each', () => {
    const findings = checkLedger(readings, sound.acknowledged);
    expect(counters(findings)).toEqual(zero);
    expect(findings.filter(({ checked }) => checked === 0)).toEqual([]);
    expect(new Set(readings.settlements.map(({ status }) => status)).size, 'some fail, some do not').toBe(2);
  });

  it('find a settlement that is gone: the gift is undecided and its money unexplained', () => {
    const gone = count({ settlements: without(readings.settlements, firstSettled) });
    expect(gone).toMatchObject({ unsettled: 1, 'settled twice': 0 });
    expect(gone['wallet unlike ledger']).toBeGreaterThan(0);
    expect(gone['leaderboard unlike recomputation']).toBeGreaterThan(0);
  });

  it('find a credit that was booked twice', () => {
    const wallets = readings.wallets.map((wallet, i) =>
      i === 0 ? { ...wallet, balance: wallet.balance + 40n } : wallet,
    );
    expect(count({ wallets })).toEqual({ ...zero, 'money difference': 40, 'wallet unlike ledger': 1 });
  });

  it('find coins that moved from one wallet to another for no reason, though their sum is right', () => {
    const wallets = readings.wallets.map((wallet, i) => ({
      ...wallet,
      balance: wallet.balance + [7n, -7n, 0n, 0n][i]!,
    }));
    expect(count({ wallets })).toMatchObject({ 'money difference': 0, 'wallet unlike ledger': 2 });
  });

  it('find a negative wallet, a gift decided twice, one decided and queued, and a decision of no gift', () => {
    const wallets = readings.wallets.map((wallet) => ({ ...wallet, balance: -1n }));
    expect(count({ wallets })['negative balance']).toBe(4);
    const again = { ...readings.settlements[firstSettled]!, settledAt: 2_000_000 };
    expect(count({ settlements: [...readings.settlements, again] })['settled twice']).toBe(1);
    expect(count({ pending: [5] })).toEqual({ ...zero, 'settled twice': 1 });
    expect(count({ settlements: [...readings.settlements, { ...again, seq: 999 }] })['settled twice']).toBe(
      1,
    );
  });

  it('find an acknowledged gift that is gone, or kept with other contents', () => {
    const failed = readings.settlements.find(({ status }) => status === 'failed')!.seq;
    // it took nothing, so only the sender still knows of it
    const gone = {
      gifts: readings.gifts.filter(({ seq }) => seq !== failed),
      settlements: without(readings.settlements, settledAt(failed)),
    };
    expect(count(gone)).toEqual({ ...zero, 'acknowledged but lost': 1 });
    const other = sound.acknowledged.with(3, { ...sound.acknowledged[3]!, receiver: 'eve' });
    expect(count({}, other)).toEqual({ ...zero, 'acknowledged but lost': 1 });
  });

  it('find gifts taken in, decided or paid out of order', () => {
    const [first, second] = readings.gifts.filter(({ sender }) => sender === 'ann');
    const swapped = sound.acknowledged.map((gift) =>
      gift.id === first!.id ? second! : gift.id === second!.id ? first! : gift,
    );
    expect(count({}, swapped)['order inversion'], 'sent').toBe(1);
    const late = readings.settlements.map((row) =>
      row.seq === first!.seq ? { ...row, settledAt: 900_000 } : row,
    );
    expect(count({ settlements: late })['order inversion'], 'decided').toBeGreaterThan(0);
    const turned = readings.settlements.map((row) =>
      row.status === 'failed' ? { ...row, status: 'settled' as const, reason: null } : row,
    );
    expect(count({ settlements: turned })['order inversion'], 'paid').toBeGreaterThan(0);
  });

  it('find a decision that breaks the rules within its round, though all sums are right', () => {
    // the first of a round's two gifts failed and the second was paid, as one who overtakes would have it
    const gift = {
      sender: 'ann',
      receiver: 'bob',
      stream: 's1',
      day: '2026-11-24',
      runId: null,
      amount: 300n,
    };
    const gifts = [1, 2].map((seq): GiftReading => ({ ...gift, seq, id: `gift ${seq}` }));
    const decided = (paid: number) =>
      gifts.map(({ seq }) => ({
        seq,
        status: seq === paid ? ('settled' as const) : ('failed' as const),
        reason: seq === paid ? null : 'insufficient_funds',
        fee: seq === paid ? 15n : 0n,
        settledAt: 1000,
      }));
    const inversions = (paid: number) =>
      count({ gifts, settlements: decided(paid), reversals: [] }, gifts)['order inversion'];
    expect([inversions(1), inversions(2)]).toEqual([0, 2]);
  });

  it('find a leaderboard or a list that is not what the gifts make', () => {
    const [entry] = readings.tops;
    const more = { ...entry!, total: entry!.total + 1n };
    const changes: Array<Partial<LedgerReadings>> = [
      { boards: readings.boards.with(0, more) },
      { boards: without(readings.boards, 0) },
      { boards: [...readings.boards, { ...entry!, user: 'eve' }] },
      { boards: [...readings.boards, entry!] },
      { tops: readings.tops.with(0, more) },
      { tops: without(readings.tops, 0) },
    ];
    for (const change of changes) {
      const found = count(change);
      expect(found['leaderboard unlike recomputation']).toBeGreaterThan(0);
      expect({ ...found, 'leaderboard unlike recomputation': 0 }).toEqual(zero);
    }
  });
});
