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

/** Between two drains; the schedule's is 10 s, which would leave most of a short run undrained. */
const drainPauseMs = 20;
const reversalPauseMs = 10;
/** Of drains and reversals; a round takes 5 to 50 ms, so some are cut off before it ends and some in the pause. */
const cutShare = 0.03;
const cutWithinMs = 20;

/** Drains by the procedure that the schedule calls, and now and then one batch of any size. */
export async function drain(
  link: Link,
  { random, account, stopped }: { random: SeededRandom; account: Account; stopped: AbortSignal },
): Promise<void> {
  await using _link = link;
  while (!stopped.aborted) {
    const cut = cutAfter(random, account);
    await unlessLost(account, () =>
      random.next() < 0.75
        ? link.query("call drain_gift_ledger(1000, 'crash run')", [], cut)
        : link.query('select process_gift_ledger_batch($1)', [1 + random.int(500)], cut),
    );
    await sleep(drainPauseMs);
  }
}

/** Takes gifts back. One that is not answered is not tried again: whether it was carried out shows in the ledger. */
export async function reverse(
  link: Link,
  { random, account, stopped }: { random: SeededRandom; account: Account; stopped: AbortSignal },
): Promise<void> {
  await using _link = link;
  while (!stopped.aborted) {
    await sleep(reversalPauseMs);
    const { acknowledged, reversed } = account;
    // of the older half, most of which is decided
    const gift = acknowledged[random.int(Math.max(1, acknowledged.length >> 1))];
    if (gift === undefined) continue;
    const cut = cutAfter(random, account);
    await unlessLost(account, async () => {
      try {
        await link.query("select reverse_gift($1, 'crash run')", [gift.id], cut);
        reversed.add(gift.id);
      } catch (error) {
        // pending, failed, or its receiver has spent it; or a round is held for longer than it waits
        if (!['PT409', '55P03'].includes(sqlStateOf(error))) throw error;
      }
    });
  }
}

function cutAfter(random: SeededRandom, account: Account): number | null {
  if (random.next() >= cutShare) return null;
  account.hungUp += 1;
  return random.next() * cutWithinMs;
}

async function unlessLost(account: Account, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    if (error.sent) account.unknown += 1;
  }
}
