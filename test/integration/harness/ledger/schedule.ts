import fc from 'fast-check';

/** One thing that somebody does to the ledger. People, streams and earlier things by number, wrapped around. */
export type Action =
  | { readonly kind: 'send'; readonly gift: GiftPlan }
  | { readonly kind: 'list'; readonly gifts: readonly ListedGift[] }
  /** An earlier gift again, as it was or with something else in it. */
  | ({ readonly kind: 'again' } & Again)
  | { readonly kind: 'deposit'; readonly who: number; readonly amount: number }
  | { readonly kind: 'deposit again'; readonly which: number; readonly change: boolean }
  | { readonly kind: 'settle'; readonly limit: number }
  | { readonly kind: 'reverse'; readonly which: number };

export type Change = 'sender' | 'receiver' | 'stream' | 'amount';

export interface Again {
  readonly which: number;
  readonly change: Change | null;
}

export interface GiftPlan {
  readonly sender: number;
  /** 1 … people - 1: how far from the sender. */
  readonly away: number;
  readonly stream: number;
  readonly amount: number;
}

/** `again`: that gift of before in its place, so that lists hold duplicates and collisions. */
export interface ListedGift extends GiftPlan {
  readonly again: Again | null;
}

export interface Schedule {
  readonly feeBps: number;
  /** Of each person, at the start. */
  readonly coins: readonly number[];
  /** Real people and their boards, or a synthetic run. */
  readonly real: boolean;
  readonly actions: readonly Action[];
}

const people = 5;
const which = fc.nat({ max: 40 });
const giftPlan = {
  sender: fc.nat({ max: people - 1 }),
  away: fc.integer({ min: 1, max: people - 1 }),
  stream: fc.nat({ max: 1 }),
  // mostly what people have, now and then the most that a gift can be
  amount: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 1, max: 60 }) },
    { weight: 1, arbitrary: fc.constant(10 ** 12) },
  ),
};

const again = {
  which,
  change: fc.option(fc.constantFrom<Change>('sender', 'receiver', 'stream', 'amount'), { freq: 2 }),
};

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('send' as const), gift: fc.record(giftPlan) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('list' as const),
      gifts: fc.array(fc.record({ ...giftPlan, again: fc.option(fc.record(again), { freq: 12 }) }), {
        minLength: 1,
        maxLength: 12,
      }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('again' as const), ...again }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('deposit' as const),
      who: fc.nat({ max: people - 1 }),
      amount: fc.integer({ min: 1, max: 80 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('deposit again' as const), which, change: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('settle' as const), limit: fc.integer({ min: 1, max: 15 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('reverse' as const), which }) },
);

/** What happens to a ledger of five people and two streams. */
export const schedule: fc.Arbitrary<Schedule> = fc.record({
  feeBps: fc.constantFrom(0, 500, 3333, 10_000),
  coins: fc.array(fc.integer({ min: 0, max: 150 }), { minLength: people, maxLength: people }),
  real: fc.boolean(),
  actions: fc.array(action, { minLength: 1, maxLength: 30, size: 'max' }),
});

const send = (sender: number, away: number, amount: number): Action => ({
  kind: 'send',
  gift: { sender, away, stream: 0, amount },
});

/** Goes through every answer that there is, the rarest too, so that no run of random ones has to. */
export const everyAnswer: Schedule = {
  feeBps: 500,
  coins: [20, 0, 0, 0, 0],
  real: true,
  actions: [
    { kind: 'reverse', which: 0 }, // of no gift at all
    send(0, 1, 20),
    { kind: 'reverse', which: 0 }, // not decided yet
    { kind: 'again', which: 0, change: null },
    ...(['sender', 'receiver', 'stream', 'amount'] as const).map(
      (change): Action => ({ kind: 'again', which: 0, change }),
    ),
    { kind: 'settle', limit: 1 },
    send(1, 1, 19),
    { kind: 'settle', limit: 1 },
    { kind: 'reverse', which: 0 }, // spent by its receiver
    { kind: 'reverse', which: 1 },
    { kind: 'reverse', which: 1 },
    send(4, 1, 1),
    { kind: 'settle', limit: 1 },
    { kind: 'reverse', which: 2 }, // failed
    { kind: 'deposit', who: 3, amount: 5 },
    { kind: 'deposit again', which: 0, change: false },
    { kind: 'deposit again', which: 0, change: true },
    {
      kind: 'list',
      gifts: [
        { sender: 2, away: 1, stream: 0, amount: 1, again: null },
        { sender: 0, away: 1, stream: 0, amount: 1, again: { which: 1, change: 'amount' } },
      ],
    },
  ],
};
