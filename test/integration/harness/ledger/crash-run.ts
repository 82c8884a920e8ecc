import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { SeededRandom } from '../../../../src/kernel/random.ts';
import { checkLedger, type Finding } from './checks.ts';
import { Account, drain, reverse, SendingClient } from './crash-clients.ts';
import { Killer } from './kills.ts';
import type { Cast, LedgerDatabase } from './ledger-database.ts';
import { Link } from './link.ts';
import { type LedgerReadings, readLedger } from './readings.ts';
import { killsPerCycle, type PlannedKill, PlannedSender, plannedKills } from './workload.ts';

export interface CrashRunOptions {
  /** All that is sent, repeated, hung up on and killed follows from it. */
  readonly seed: number;
  /** Cycles of kills go on for so long; one cycle at least, whatever it takes. */
  readonly seconds: number;
  /** What happens, line by line. */
  readonly note?: (line: string) => void;
}

export interface CrashReport {
  readonly seed: number;
  readonly kills: readonly PlannedKill[];
  readonly account: Account;
  readonly readings: LedgerReadings;
  readonly findings: readonly Finding[];
  /** Of rounds, from the log: a round that fails for another reason than its death. */
  readonly roundErrors: readonly string[];
}

const people = 12;
const streams = 3;
/** People 0 to 3 send for themselves, the others' gifts come in lists. */
const ownSenders = 4;
const listSize = 40;
/** Less than the largest gifts, and enough for the platform's share of what moves in minutes. */
const coinsEach = 100_000;
const feeBps = 50;
/** Under load gifts are acknowledged by the hundred per second. */
const acknowledgedWithinMs = 60_000;
const drainedWithinMs = 60_000;

/** Sends, settles, reverses, hangs up and kills on a ledger of its own until time is over, and judges what is left. */
export async function runLedgerCrashes(
  ledger: LedgerDatabase,
  { seed, seconds, note = () => {} }: CrashRunOptions,
): Promise<CrashReport> {
  const random = new SeededRandom(seed);
  const cast = await ledger.cast(Array(people).fill(coinsEach), { streams });
  await ledger.db.pool.query('update gift_settings set fee_bps = $1', [feeBps]);
  const killer = await Killer.of(ledger.db.postgres);
  const account = new Account();
  const stop = new AbortController();
  const stopped = stop.signal;
  const owner = (name: string) => new Link(ledger.db.postgres.databaseUrl, { name: `ledger ${name}` });
  const clients = [
    ...senders(ledger, { random, cast, account }).map((client) => client.run(stopped)),
    ...['drainer 1', 'drainer 2'].map((name) =>
      drain(owner(name), { random: random.fork(name), account, stopped }),
    ),
    reverse(owner('desk'), { random: random.fork('desk'), account, stopped }),
  ];
  const over = Promise.all(clients);
  try {
    // a client that gives up ends the run at once
    const kills = await Promise.race([
      killUntil(killer, plannedKills(random.fork('kills')), { seconds, account, note, stopped }),
      over.then(() => Promise.reject(new Error('the clients ended before the run'))),
    ]);
    stop.abort();
    await over;
    await drainWhole(ledger);
    return { seed, kills, account, ...(await judgeLedger(ledger, account)) };
  } finally {
    stop.abort();
    await over.catch(() => {});
  }
}

function senders(
  ledger: LedgerDatabase,
  { random, cast, account }: { random: SeededRandom; cast: Cast; account: Account },
): SendingClient[] {
  const world = { people, streams };
  const url = ledger.db.postgres.authenticatorUrl;
  const own = Array.from({ length: ownSenders }, (_, person) => {
    const claims = JSON.stringify({ sub: cast.users[person], role: 'authenticated' });
    return {
      plan: new PlannedSender(random.fork(`sender ${person}`), world, [person], null),
      prepare: `set role authenticated; set request.jwt.claims = '${claims}'`,
    };
  });
  const others = Array.from({ length: people - ownSenders }, (_, i) => ownSenders + i);
  const list = {
    plan: new PlannedSender(random.fork('lists'), world, others, listSize),
    prepare: 'set role service_role',
  };
  return [...own, list].map(({ plan, prepare }, i) => {
    const link = new Link(url, { name: `ledger sender ${i}`, prepare });
    return new SendingClient(plan, { cast, account, link });
  });
}

interface KillOptions {
  readonly seconds: number;
  readonly account: Account;
  readonly note: (line: string) => void;
  readonly stopped: AbortSignal;
}

async function killUntil(
  killer: Killer,
  planned: Iterable<PlannedKill>,
  { seconds, account, note, stopped }: KillOptions,
): Promise<PlannedKill[]> {
  const endsAt = performance.now() + seconds * 1000;
  const done: PlannedKill[] = [];
  for (const kill of planned) {
    const from = account.acknowledged.length;
    await pollUntil(() => (account.acknowledged.length - from >= kill.afterGifts ? true : undefined), {
      ...{
        ms: acknowledgedWithinMs,
        everyMs: 10,
        signal: stopped,
        what: `${kill.afterGifts} gifts are answered`,
      },
    });
    if (done.length >= killsPerCycle && performance.now() > endsAt) break;
    const began = performance.now();
    await killer.kill(kill);
    done.push(kill);
    const where = kill.at === 'anywhere' ? '' : `, a round held at ${kill.at}`;
    note(
      `after ${account.acknowledged.length} gifts: kill -9 of a ${kill.victim}${where}; back in ${Math.round(performance.now() - began)} ms`,
    );
  }
  await pollUntil(() => (account.reversed.size > 0 ? true : undefined), {
    ...{ ms: acknowledgedWithinMs, everyMs: 10, signal: stopped, what: 'a gift is reversed' },
  });
  return done;
}

/** A drainer whose client hung up may still be at it. */
async function drainWhole(ledger: LedgerDatabase): Promise<void> {
  await pollUntil(
    async () => {
      await ledger.db.pool.query("call drain_gift_ledger(10000, 'final')");
      return (await ledger.db.one<string>('select count(*) from gift_pending')) === '0' ? true : undefined;
    },
    { ms: drainedWithinMs, everyMs: 50, what: 'the queue is empty' },
  );
}

async function judgeLedger(
  ledger: LedgerDatabase,
  account: Account,
): Promise<Pick<CrashReport, 'readings' | 'findings' | 'roundErrors'>> {
  const readings = await readLedger(ledger.db.pool);
  const logged = await ledger.db.pool.query<{ error: string }>(
    'select distinct error from gift_batch_logs where error is not null',
  );
  return {
    readings,
    findings: checkLedger(readings, account.acknowledged, account.reversed),
    roundErrors: logged.rows.map(({ error }) => error),
  };
}
