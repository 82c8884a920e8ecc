import { randomUUID } from 'node:crypto';
import { sqlStateOf } from '../../../../src/target/postgres/pool.ts';
import { Provisioned } from '../../database/provisioned.ts';
import type { Intake, ModelGift, Reversal, Round } from './model.ts';

type SentGift = Omit<ModelGift, 'scopes'>;

/** Who sends to whom, and where: users in the order of their ids, which is the order wallets are locked in. */
export interface Cast {
  /** null: real people. */
  readonly runId: string | null;
  readonly users: readonly string[];
  readonly streams: readonly string[];
}

/** A real ledger spoken to as its callers do, in the words of the model. */
export class LedgerDatabase implements AsyncDisposable {
  readonly db: Provisioned;

  private constructor(db: Provisioned) {
    this.db = db;
  }

  static async start(): Promise<LedgerDatabase> {
    return new LedgerDatabase(await Provisioned.start());
  }

  /** People with these coins each, and their streams. */
  async cast(coins: readonly number[], options: { runId?: string; streams?: number } = {}): Promise<Cast> {
    const cast =
      options.runId === undefined
        ? await this.#realCast(coins.length, options.streams ?? 1)
        : await this.db.run(options.runId, coins.length, { streams: options.streams ?? 1 });
    const users = cast.users.toSorted();
    for (const [i, user] of users.entries()) {
      if (coins[i]) await this.deposit(randomUUID(), user, BigInt(coins[i]));
    }
    return { runId: options.runId ?? null, users, streams: cast.streams };
  }

  async #realCast(people: number, streams: number): Promise<{ users: string[]; streams: string[] }> {
    const users = Array.from({ length: people }, () => randomUUID());
    await this.db.pool.query(
      "insert into profiles (id, username) select u, 'real-' || u from unnest($1::uuid[]) u",
      [users],
    );
    const { rows } = await this.db.pool.query<{ id: string }>(
      'insert into streams (owner_id) select $1 from generate_series(1, $2) returning id',
      [users[0], streams],
    );
    return { users, streams: rows.map(({ id }) => id) };
  }

  /** As the sender's own request. Any error but the refusal of a taken id is thrown. */
  async send({ id, sender, receiver, stream, amount }: SentGift): Promise<Intake> {
    return refusedOr(async () => {
      const rows = await this.db.as('authenticated', sender, 'select send_gift($1, $2, $3, $4) as answer', [
        id,
        stream,
        receiver,
        amount,
      ]);
      return rows[0].answer.duplicate ? 'repeated' : 'accepted';
    });
  }

  async sendAll(gifts: readonly SentGift[]): Promise<{ accepted: number; duplicates: number } | 'refused'> {
    const list = gifts.map(({ id, sender, receiver, stream, amount }) => ({
      ...{ gift_id: id, sender_id: sender, receiver_id: receiver, stream_id: stream },
      amount: Number(amount),
    }));
    return refusedOr(() =>
      this.db.one<{ accepted: number; duplicates: number }>('select send_gifts($1)', [JSON.stringify(list)]),
    );
  }

  /** The balance after it. */
  async deposit(id: string, user: string, amount: bigint): Promise<bigint | 'refused'> {
    return refusedOr(async () =>
      BigInt(await this.db.one<string>("select deposit_coins($1, $2, $3, 'test')", [id, user, amount])),
    );
  }

  /** One round. @throws when another session settles */
  async settle(limit = 1000): Promise<Round> {
    const { rows } = await this.db.pool.query('select * from process_gift_ledger_batch($1)', [limit]);
    if (rows[0].busy) throw new Error('another session settles');
    const { claimed, settled, failed } = rows[0];
    const coins = await this.db.one<string>(
      'select coins_moved from gift_batch_logs order by id desc limit 1',
    );
    return { claimed, settled, failed, coins: BigInt(coins) };
  }

  async reverse(id: string): Promise<Reversal> {
    try {
      const { duplicate } = await this.db.one<{ duplicate: boolean }>("select reverse_gift($1, 'test')", [
        id,
      ]);
      return duplicate ? 'repeated' : 'reversed';
    } catch (error) {
      if (sqlStateOf(error) === 'PT404') return 'unknown';
      // why it cannot be reversed stands in the detail, in the model's words
      if (sqlStateOf(error) === 'PT409') return (error as { detail: string }).detail as Reversal;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db[Symbol.asyncDispose]();
  }
}

/** 23505: the id is taken by something else. */
async function refusedOr<T>(work: () => Promise<T>): Promise<T | 'refused'> {
  try {
    return await work();
  } catch (error) {
    if (sqlStateOf(error) === '23505') return 'refused';
    throw error;
  }
}
