import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decideRound,
  feeOf,
  LedgerModel,
  type ModelGift,
  rank,
} from '../../integration/harness/ledger/model.ts';

let n = 0;
const gift = (sender: string, receiver: string, amount: number, id = `g${++n}`): ModelGift => ({
  id,
  sender,
  receiver,
  stream: 's',
  amount: BigInt(amount),
  scopes: ['all', 's:s'],
});

function funded(coins: Record<string, number>, feeBps = 0): LedgerModel {
  const model = new LedgerModel(feeBps);
  for (const [user, amount] of Object.entries(coins)) model.deposit(`start ${user}`, user, BigInt(amount));
  return model;
}

const statuses = (model: LedgerModel) => model.giftIds.map((id) => model.decision(id)?.status ?? 'pending');

describe('the reference model', () => {
  it('skips a gift that is too large and still tries the cheaper ones after it', () => {
    const model = funded({ a: 100 });
    for (const amount of [60, 70, 40, 1]) model.send(gift('a', 'b', amount));
    expect(model.settle(10)).toEqual({ claimed: 4, settled: 2, failed: 2, coins: 100n });
    expect(statuses(model)).toEqual(['settled', 'failed', 'settled', 'failed']);
    expect([model.balance('a'), model.balance('b')]).toEqual([0n, 100n]);
  });

  it('lets received coins be spent from the next round on, not in the same', () => {
    const oneRound = funded({ a: 10 });
    const twoRounds = funded({ a: 10 });
    for (const model of [oneRound, twoRounds]) {
      model.send(gift('a', 'b', 10));
      model.send(gift('b', 'c', 10));
    }
    oneRound.settle(2);
    expect(statuses(oneRound)).toEqual(['settled', 'failed']);
    twoRounds.settle(1);
    twoRounds.settle(1);
    expect(statuses(twoRounds)).toEqual(['settled', 'settled']);
  });

  it('leaves a failed gift failed when money comes later', () => {
    const model = funded({});
    model.send(gift('a', 'b', 5));
    model.settle(10);
    model.deposit('later', 'a', 100n);
    expect(model.settle(10).claimed).toBe(0);
    expect(statuses(model)).toEqual(['failed']);
  });

  it('knows ids again: the same is repeated, anything else is refused, neither changes a thing', () => {
    const model = funded({ a: 10 });
    const first = gift('a', 'b', 4);
    expect(model.send(first)).toBe('accepted');
    expect(model.send({ ...first })).toBe('repeated');
    for (const other of [{ amount: 5n }, { receiver: 'c' }, { sender: 'c' }, { stream: 't' }])
      expect(model.send({ ...first, ...other })).toBe('refused');
    expect(model.deposit('start a', 'a', 10n)).toBe('repeated');
    expect(model.deposit('start a', 'a', 11n)).toBe('refused');
    expect(model.backlog).toBe(1);
    model.settle(10);
    expect(model.send(first)).toBe('repeated');
    expect(model.balance('a')).toBe(6n);
  });

  it('takes a list in whole or not at all', () => {
    const model = funded({ a: 10 });
    const [first, second] = [gift('a', 'b', 1), gift('a', 'b', 2)];
    expect(model.sendAll([first, second, first])).toEqual({ accepted: 2, duplicates: 1 });
    const third = gift('a', 'b', 3);
    expect(model.sendAll([third, { ...second, amount: 9n }])).toBe('refused');
    expect(model.sendAll([third, { ...third, amount: 9n }])).toBe('refused');
    expect(model.backlog).toBe(2);
  });

  it('keeps the fee, in whole coins rounded down, and counts boards by what was given', () => {
    expect([feeOf(19n, 500), feeOf(20n, 500), feeOf(10n ** 12n, 9_999)]).toEqual([0n, 1n, 999_900_000_000n]);
    const model = funded({ a: 100, c: 100 }, 500);
    model.send(gift('a', 'b', 40));
    model.send(gift('c', 'b', 40));
    model.send(gift('c', 'b', 1));
    model.settle(10);
    expect(model.balance('b')).toBe(77n);
    expect(model.board('s:s')).toEqual([
      { rank: 1, user: 'c', total: 41n, gifts: 2 },
      { rank: 2, user: 'a', total: 40n, gifts: 1 },
    ]);
  });

  it('ranks equal totals by user id', () => {
    const scores = new Map(['b', 'a', 'c'].map((user) => [user, { total: 3n, gifts: 1 }]));
    expect(rank(scores).map(({ user }) => user)).toEqual(['a', 'b', 'c']);
  });

  it('takes a settled gift back once, whole, and only from a receiver who has it', () => {
    const model = funded({ a: 100 }, 1000);
    const [paid, refused, waiting] = [gift('a', 'b', 50), gift('a', 'b', 60), gift('a', 'b', 1)];
    model.send(paid);
    model.send(refused);
    model.settle(2);
    model.send(waiting);
    expect([paid, refused, waiting].map(({ id }) => model.reverse(id))).toEqual([
      'reversed',
      'failed',
      'pending',
    ]);
    expect(model.reverse('nobody knows')).toBe('unknown');
    expect(model.reverse(paid.id)).toBe('repeated');
    expect([model.balance('a'), model.balance('b')]).toEqual([100n, 0n]);
    expect(model.board('all')).toEqual([]);
    const spent = gift('a', 'b', 20);
    model.send(spent);
    model.send(gift('b', 'c', 18));
    model.settle(2);
    model.settle(1);
    expect(model.reverse(spent.id)).toBe('insufficient_funds');
    expect([model.balance('a'), model.balance('b')]).toEqual([79n, 1n]);
  });

  it('never makes money, loses money or lends it, whatever is sent', () => {
    const person = fc.constantFrom('a', 'b', 'c', 'd');
    const gifts = fc.array(
      fc.record({ sender: person, receiver: person, amount: fc.bigInt({ min: 1n, max: 60n }) }),
      { maxLength: 30 },
    );
    const wallets = fc.array(fc.bigInt({ min: 0n, max: 100n }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(gifts, wallets, fc.nat({ max: 10_000 }), (sent, coins, feeBps) => {
        const before = new Map(['a', 'b', 'c', 'd'].map((user, i) => [user, coins[i] ?? 0n]));
        const { decisions, wallets: after } = decideRound(sent, before, feeBps);
        const sum = (values: Iterable<bigint>) => [...values].reduce((total, value) => total + value, 0n);
        expect(sum(after.values()) + sum(decisions.map(({ fee }) => fee))).toBe(sum(before.values()));
        expect([...after.values()].every((coinsLeft) => coinsLeft >= 0n)).toBe(true);
      }),
    );
  });
});
