import { sleep } from '../../../../src/kernel/clock.ts';
import type { SeededRandom } from '../../../../src/kernel/random.ts';
import { sqlStateOf } from '../../../../src/target/postgres/pool.ts';
import type { Acknowledged } from './checks.ts';
import type { Cast } from './ledger-database.ts';
import { type Link, NoAnswer, untilAnswered } from './link.ts';
import type { PlannedGift, PlannedSender, Request } from './workload.ts';

/** What the clients of a run saw. */
export class Account {
  /** Each sender's gifts in the order they were answered. */
  readonly acknowledged: Acknowledged[] = [];
  /** Gift ids whose reversal was answered. */
  readonly reversed = new Set<string>();
  /** Requests, each counted once however often it was retried. */
  requests = 0;
  repeated = 0;
  /** Attempts without an answer: they may have been carried out or not, and are made again with the same gift ids. */
  unknown = 0;
  /** Of those, how many had been carried out. */
  unknownButTaken = 0;
  hungUp = 0;
  /** Answers that contradict an earlier one. */
  readonly contradictions: string[] = [];
}

interface Answer {
  readonly seq: number | null;
  readonly duplicates: number;
}

/** One client that sends, one request after the other's answer. */
export class SendingClient {
  readonly #plan: PlannedSender;
  readonly #cast: Cast;
  readonly #account: Account;
  readonly #link: Link;
  readonly #seqs = new Map<string, number>();

  constructor(plan: PlannedSender, options: { cast: Cast; account: Account; link: Link }) {
    this.#plan = plan;
    this.#cast = options.cast;
    this.#account = options.account;
    this.#link = options.link;
  }

  /** Until `stopped`; the request that is out then still gets its answer. */
  async run(stopped: AbortSignal): Promise<void> {
    await using _link = this.#link;
    while (!stopped.aborted) await this.#perform(this.#plan.next());
  }

  async #perform(request: Request): Promise<void> {
    const { gifts, repeated } = request;
    let { hangUpAfterMs } = request;
    let unknown = 0;
    const answer = await untilAnswered(
      () => {
        const hangUp = hangUpAfterMs;
        hangUpAfterMs = null; // the first attempt only
        if (hangUp !== null) this.#account.hungUp += 1;
        return this.#send(gifts, hangUp);
      },
      () => {
        unknown += 1;
        this.#account.unknown += 1;
      },
    );
    this.#account.requests += 1;
    const known = repeated ? gifts.length : 0;
    if (unknown > 0 && !repeated && answer.duplicates > 0) this.#account.unknownButTaken += 1;
    else if (answer.duplicates !== known)
      this.#account.contradictions.push(`${answer.duplicates} duplicates of ${known}: ${gifts[0]?.id}`);
    this.#remember(gifts, answer, repeated);
  }

  #remember(gifts: readonly PlannedGift[], { seq }: Answer, repeated: boolean): void {
    const [first] = gifts;
    if (first !== undefined && seq !== null) {
      const before = this.#seqs.get(first.id) ?? seq;
      if (before !== seq) this.#account.contradictions.push(`gift ${first.id}: seq ${before}, then ${seq}`);
      this.#seqs.set(first.id, seq);
    }
    if (repeated) this.#account.repeated += 1;
    else this.#account.acknowledged.push(...gifts.map((gift) => this.#named(gift)));
  }

  async #send(gifts: readonly PlannedGift[], hangUpAfterMs: number | null): Promise<Answer> {
    return this.#plan.lists ? this.#sendList(gifts, hangUpAfterMs) : this.#sendOwn(gifts, hangUpAfterMs);
  }

  /** As the sender, whose role and claims the link has. */
  async #sendOwn([gift]: readonly PlannedGift[], hangUpAfterMs: number | null): Promise<Answer> {
    const { id, receiver, stream, amount } = this.#named(gift as PlannedGift); // a request has one at least
    const rows = await this.#link.query<{ answer: { seq: number; duplicate: boolean } }>(
      'select send_gift($1, $2, $3, $4) as answer',
      [id, stream, receiver, amount],
      hangUpAfterMs,
    );
    const answer = rows[0]?.answer;
    return { seq: answer?.seq ?? null, duplicates: answer?.duplicate ? 1 : 0 };
  }

  async #sendList(gifts: readonly PlannedGift[], hangUpAfterMs: number | null): Promise<Answer> {
    const list = gifts.map((gift) => {
      const { id, sender, receiver, stream } = this.#named(gift);
      return {
        gift_id: id,
        sender_id: sender,
        receiver_id: receiver,
        stream_id: stream,
        amount: gift.amount,
      };
    });
    const rows = await this.#link.query<{ answer: { duplicates: number } }>(
      'select send_gifts($1) as answer',
      [JSON.stringify(list)],
      hangUpAfterMs,
    );
    return { seq: null, duplicates: rows[0]?.answer.duplicates ?? 0 };
  }

  #named({ id, sender, receiver, stream, amount }: PlannedGift): Acknowledged {
    const { users, streams } = this.#cast;
    // the plan was made for this cast: every number is somebody's
    return {
      ...{ id, sender: users[sender] as string, receiver: users[receiver] as string },
      ...{ stream: streams[stream] as string, amount: BigInt(amount) },
    };
  }
}

/** Names of their sessions, by which a kill finds a drainer. */
export const drainerName = 'ledger drainer';
/** Between two drains; the schedule's is 10 s, which would leave most of a short run undrained. */
const pauseMs = 20;

/** A drainer that is sometimes cut off, and that now and then takes a gift back between two drains. */
export class DrainingClient {
  readonly #random: SeededRandom;
  readonly #account: Account;
  readonly #link: Link;

  constructor(random: SeededRandom, account: Account, link: Link) {
    this.#random = random;
    this.#account = account;
    this.#link = link;
  }

  async run(stopped: AbortSignal): Promise<void> {
    await using _link = this.#link;
    while (!stopped.aborted) {
      const random = this.#random;
      const hangUp = random.next() < 0.03 ? random.next() * 20 : null;
      if (hangUp !== null) this.#account.hungUp += 1;
      const step = random.next();
      try {
        if (step < 0.7) await this.#link.query("call drain_gift_ledger(1000, 'crash run')", [], hangUp);
        else if (step < 0.9)
          await this.#link.query('select process_gift_ledger_batch($1)', [1 + random.int(500)], hangUp);
        else await this.#reverse(hangUp);
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        if (error.sent) this.#account.unknown += 1;
      }
      await sleep(pauseMs);
    }
  }

  /** One that is not answered is not tried again: whether it was carried out shows in the ledger. */
  async #reverse(hangUpAfterMs: number | null): Promise<void> {
    const { acknowledged, reversed } = this.#account;
    if (acknowledged.length === 0) return;
    const { id } = this.#random.pick(acknowledged);
    try {
      await this.#link.query("select reverse_gift($1, 'crash run')", [id], hangUpAfterMs);
      reversed.add(id);
    } catch (error) {
      // pending, failed, or its receiver has spent it; or a round holds the lock for long
      if (!['PT409', '55P03'].includes(sqlStateOf(error))) throw error;
    }
  }
}
