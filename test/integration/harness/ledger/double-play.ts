import { randomUUID } from 'node:crypto';
import type { Cast, LedgerDatabase } from './ledger-database.ts';
import type { LedgerModel, ModelGift } from './model.ts';
import type { Action, Again, Change, GiftPlan } from './schedule.ts';

/** What the two answered to the same thing. */
export interface Answers {
  readonly what: string;
  readonly model: unknown;
  readonly database: unknown;
}

/** Plays a schedule on the model and on a real database alike. */
export class DoublePlay {
  readonly #ledger: LedgerDatabase;
  readonly #model: LedgerModel;
  readonly #cast: Cast;
  readonly #gifts: ModelGift[] = [];
  readonly #deposits: Array<{ id: string; user: string; amount: bigint }> = [];

  constructor(ledger: LedgerDatabase, model: LedgerModel, cast: Cast) {
    this.#ledger = ledger;
    this.#model = model;
    this.#cast = cast;
  }

  async take(action: Action): Promise<Answers> {
    switch (action.kind) {
      case 'send':
        return this.#send('send', this.#gift(action.gift));
      case 'list': {
        const gifts = action.gifts.map((plan) => this.#again(plan.again) ?? this.#gift(plan));
        return {
          what: 'list',
          database: await this.#ledger.sendAll(gifts),
          model: this.#model.sendAll(gifts),
        };
      }
      case 'again': {
        const gift = this.#again(action);
        return gift === undefined ? nothing : this.#send('again', gift);
      }
      case 'deposit':
        return this.#deposit({
          id: randomUUID(),
          user: at(this.#cast.users, action.who),
          amount: BigInt(action.amount),
        });
      case 'deposit again': {
        const deposit = this.#deposits[action.which % (this.#deposits.length || 1)];
        if (deposit === undefined) return nothing;
        return this.#deposit({ ...deposit, amount: deposit.amount + (action.change ? 1n : 0n) });
      }
      case 'settle':
        return this.settle(action.limit);
      case 'reverse': {
        const id = this.#earlier(action.which)?.id ?? randomUUID();
        return { what: 'reverse', database: await this.#ledger.reverse(id), model: this.#model.reverse(id) };
      }
    }
  }

  async settle(limit: number): Promise<Answers> {
    return { what: 'settle', database: await this.#ledger.settle(limit), model: this.#model.settle(limit) };
  }

  async #send(what: string, gift: ModelGift): Promise<Answers> {
    return { what, database: await this.#ledger.send(gift), model: this.#model.send(gift) };
  }

  async #deposit(deposit: { id: string; user: string; amount: bigint }): Promise<Answers> {
    const { id, user, amount } = deposit;
    this.#deposits.push(deposit);
    const database = await this.#ledger.deposit(id, user, amount);
    const answer = this.#model.deposit(id, user, amount);
    return { what: 'deposit', database, model: answer === 'refused' ? answer : this.#model.balance(user) };
  }

  #gift({ sender, away, stream, amount }: GiftPlan): ModelGift {
    const { users, streams } = this.#cast;
    const gift: ModelGift = {
      id: randomUUID(),
      sender: at(users, sender),
      receiver: at(users, sender + away),
      stream: at(streams, stream),
      amount: BigInt(amount),
      scopes: this.#scopes(at(streams, stream)),
    };
    this.#gifts.push(gift);
    return gift;
  }

  /** A gift whose id was refused before may get in with the other stream, and counts there. */
  #moved(gift: ModelGift, stream: string): ModelGift {
    return { ...gift, stream, scopes: this.#scopes(stream) };
  }

  /** The day's board is left to the audit: only the database knows which day it was. */
  #scopes(stream: string): string[] {
    return this.#cast.runId === null ? ['all', `s:${stream}`] : [`run:${this.#cast.runId}`];
  }

  #earlier(which: number): ModelGift | undefined {
    return this.#gifts[which % (this.#gifts.length || 1)];
  }

  #again(again: Again | null): ModelGift | undefined {
    const gift = again === null ? undefined : this.#earlier(again.which);
    return gift && this.#changed(gift, again?.change ?? null);
  }

  /** The same id with something else in it, that would be a gift by itself. */
  #changed(gift: ModelGift, change: Change | null): ModelGift {
    const { users, streams } = this.#cast;
    const others = users.filter((user) => user !== gift.sender && user !== gift.receiver);
    switch (change) {
      case null:
        return gift;
      case 'sender':
        return { ...gift, sender: at(others, 0) };
      case 'receiver':
        return { ...gift, receiver: at(others, 0) };
      case 'stream':
        return this.#moved(gift, at(streams, streams.indexOf(gift.stream) + 1));
      case 'amount':
        return { ...gift, amount: gift.amount === 1n ? 2n : gift.amount - 1n };
    }
  }
}

const nothing: Answers = { what: 'nothing to do it to', model: null, database: null };

function at<T>(items: readonly T[], index: number): T {
  return items[index % items.length] as T; // never asked of an empty list
}
