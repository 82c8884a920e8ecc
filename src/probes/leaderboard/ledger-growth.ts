import type pg from 'pg';
import { sleep } from '../../kernel/clock.ts';
import { DeadlineError } from '../../kernel/deadline.ts';
import { SeededRandom } from '../../kernel/random.ts';
import type { Fixture } from '../fixture.ts';
import { sendGiftsSql } from '../gift-backlog.sql.ts';
import { drainGifts, pendingGifts } from '../gift-backlog.ts';
import type { ProbeContext } from '../probe.ts';

/** Large calls, few round trips; send_gifts takes 10,000 at most. */
const giftsPerCall = 2000;
/** Intake is fastest with two writers (ledger.md §3). */
const writers = 2;
/** 100,000 gifts settle in 1–5 s here; ten times that is a target that does not settle. */
const settleMs = 60_000;

/** Makes the run's ledger larger, gift by gift through the ledger's own bulk intake, and has it settled. */
export class LedgerGrowth {
  readonly #ctx: ProbeContext;
  readonly #database: pg.Pool;
  readonly #fixture: Fixture;
  readonly #random: SeededRandom;
  size = 0;

  constructor(ctx: ProbeContext, database: pg.Pool, fixture: Fixture) {
    this.#ctx = ctx;
    this.#database = database;
    this.#fixture = fixture;
    this.#random = new SeededRandom(ctx.random.fork(`leaderboard ${ctx.runId}`).uint32());
  }

  /**
   * @returns false when the run was interrupted: the sizes before this one are what there is
   * @throws DeadlineError when the target does not settle what is queued
   */
  async growTo(gifts: number): Promise<boolean> {
    await Promise.all(Array.from({ length: writers }, () => this.#write(gifts)));
    return this.#ctx.signal.aborted ? false : this.#settle();
  }

  async #write(gifts: number): Promise<void> {
    while (this.size < gifts && !this.#ctx.signal.aborted) {
      const count = Math.min(giftsPerCall, gifts - this.size);
      this.size += count;
      const rows = Array.from({ length: count }, () => this.#gift());
      await this.#database.query(sendGiftsSql, [JSON.stringify(rows)]);
    }
  }

  async #settle(): Promise<boolean> {
    const endsMs = performance.now() + settleMs;
    for (let left = await this.#pending(); left > 0; left = await this.#pending()) {
      if (this.#ctx.signal.aborted) return false;
      if (performance.now() > endsMs)
        throw new DeadlineError(`${left} gifts were not settled within ${settleMs} ms`);
      await drainGifts(this.#database);
      // another drainer may hold the lock: let it work
      await sleep(20);
    }
    return true;
  }

  #pending(): Promise<number> {
    return pendingGifts(this.#database, this.#ctx.runId);
  }

  #gift(): Record<string, unknown> {
    const { users, streamIds } = this.#fixture;
    const sender = this.#random.int(users.length);
    const receiver = (sender + 1 + this.#random.int(users.length - 1)) % users.length;
    return {
      gift_id: this.#random.uuid(),
      sender_id: users[sender]!.id,
      receiver_id: users[receiver]!.id,
      stream_id: streamIds[0],
      amount: 1 + this.#random.int(100),
    };
  }
}
