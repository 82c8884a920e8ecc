import { randomUUID } from 'node:crypto';
import { listUnlike } from './rule-scenarios.ts';
import { balances, holdWallets, type Scenario, sendOne, statuses, unlike } from './scenario.ts';
import { Session } from './session.ts';

/** The lock traps of settlement, each between two or three sessions that stand where the trap is. */

const batchSql = 'select * from process_gift_ledger_batch($1)';

export const noOvertaking: Scenario = {
  name: 'while a round waits for a wallet, a second drainer says busy at once and decides nothing',
  async run(ledger) {
    // wallets are locked in order of user id, so the first round waits for person 0 before it has the sender, person 1
    const cast = await ledger.cast([0, 100, 0]);
    await using holder = await Session.open(ledger);
    await using first = await Session.open(ledger);
    await using second = await Session.open(ledger);
    await sendOne(ledger, cast, 1, 0, 100);
    await sendOne(ledger, cast, 1, 2, 100);
    await holdWallets(holder, [cast.users[0]]);
    const round = first.query(batchSql, [1]);
    const waited = await first.waits(ledger, round);
    const other = second.query(batchSql, [1]);
    const secondWaited = await second.waits(ledger, other);
    await holder.query('commit');
    const [answer] = await other;
    await round;
    await ledger.settle();
    return [
      ...unlike('the first round waits', waited, true),
      ...unlike('the second waits', secondWaited, false),
      ...unlike('the second', { busy: answer?.busy, claimed: answer?.claimed }, { busy: true, claimed: 0 }),
      // SKIP LOCKED alone lets the second round take the later gift and pay it first
      ...unlike('statuses', await statuses(ledger, cast), ['settled', 'failed']),
    ];
  },
};

export const crossingDrainers: Scenario = {
  name: 'two drainers over gifts that cross end without a deadlock',
  async run(ledger) {
    const cast = await ledger.cast([100, 100]);
    await using holderOf0 = await Session.open(ledger);
    await using holderOf1 = await Session.open(ledger);
    await using first = await Session.open(ledger);
    await using second = await Session.open(ledger);
    await sendOne(ledger, cast, 0, 1, 10);
    await sendOne(ledger, cast, 1, 0, 20);
    await holdWallets(holderOf0, [cast.users[0]]);
    await holdWallets(holderOf1, [cast.users[1]]);
    // nothing of ours reads it; a drainer that locks its payer's wallet first knows by it who that is
    const payer = "select set_config('trollfix.payer', $1, false)";
    await first.query(payer, [cast.users[0]]);
    await second.query(payer, [cast.users[1]]);
    const round = first.outcome(batchSql, [1]);
    await first.waits(ledger, round);
    const other = second.outcome(batchSql, [1]);
    await second.waits(ledger, other);
    // one after the other, so that each has its first wallet before it asks for the second
    await holderOf0.query('commit');
    await first.waits(ledger, round, holderOf0);
    await holderOf1.query('commit');
    const outcomes = await Promise.all([round, other]);
    await ledger.settle();
    return [
      ...unlike('outcomes', outcomes, ['ok', 'ok']),
      ...unlike('wallets', await balances(ledger, cast), [110, 90]),
    ];
  },
};

export const orderlyWriters: Scenario = {
  name: 'a writer that locks wallets in order of user id never deadlocks with a round',
  async run(ledger) {
    const cast = await ledger.cast([0, 100]);
    await using writer = await Session.open(ledger);
    await using settling = await Session.open(ledger);
    await sendOne(ledger, cast, 1, 0, 10);
    await holdWallets(writer, [cast.users[0]]);
    const round = settling.outcome(batchSql, [1000]);
    const waited = await settling.waits(ledger, round);
    const lock = 'select from wallets where user_id = $1 for no key update';
    const [next, outcome] = await Promise.all([
      writer.outcome(lock, [cast.users[1]]).finally(() => writer.outcome('commit')),
      round,
    ]);
    return [
      ...unlike('the round waits', waited, true),
      ...unlike('the writer', next, 'ok'),
      ...unlike('the round', outcome, 'ok'),
    ];
  },
};

export const keyShareDuringRound: Scenario = {
  name: 'while a round holds the wallets, gifts are taken in and foreign keys to a wallet can be written',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    await using settling = await Session.open(ledger);
    await using app = await Session.open(ledger);
    await sendOne(ledger, cast, 0, 1, 10);
    // what an app may have: its check takes FOR KEY SHARE on the wallet
    await app.query('drop table if exists trollfix.receipts');
    await app.query('create table trollfix.receipts (user_id uuid references public.wallets (user_id))');
    await settling.query('begin');
    await settling.query(batchSql, [1000]);
    await app.query("set lock_timeout = '500ms'");
    const receipt = await app.outcome('insert into trollfix.receipts select unnest($1::uuid[])', [
      cast.users,
    ]);
    // the harness gives up after 2 s
    await sendOne(ledger, cast, 0, 1, 10);
    await settling.query('commit');
    await app.query('drop table trollfix.receipts');
    await ledger.settle();
    return [
      ...unlike('a row that refers to both wallets', receipt, 'ok'),
      ...unlike('statuses', await statuses(ledger, cast), ['settled', 'settled']),
    ];
  },
};

export const moneyOnItsWay: Scenario = {
  name: 'a round waits for a deposit that is being made, and decides on the money after it',
  async run(ledger) {
    const cast = await ledger.cast([10, 0]);
    await using bank = await Session.open(ledger);
    await using settling = await Session.open(ledger);
    await sendOne(ledger, cast, 0, 1, 50);
    await bank.query('begin');
    await bank.query("select deposit_coins(gen_random_uuid(), $1, 90, 'test')", [cast.users[0]]);
    const round = settling.query(batchSql, [1000]);
    await settling.waits(ledger, round);
    await bank.query('commit');
    await round;
    return [
      ...unlike('statuses', await statuses(ledger, cast), ['settled']),
      ...unlike('wallets', await balances(ledger, cast), [50, 50]),
    ];
  },
};

export const decisionTime: Scenario = {
  name: 'a decision bears its own time, not that of a transaction that began before others decided',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    await using early = await Session.open(ledger);
    await early.query('begin');
    await early.query('select now()');
    await sendOne(ledger, cast, 0, 1, 10);
    await sendOne(ledger, cast, 0, 1, 20);
    await ledger.settle(1);
    await early.query(batchSql, [1]);
    await early.query('commit');
    const inOrder = await ledger.db.one<boolean>(
      `select bool_and(settled_at > before) from (
         select settled_at, lag(settled_at) over (order by seq) as before from gifts where sender_id = $1
       ) g where before is not null`,
      [cast.users[0]],
    );
    return unlike('the later gift is decided later', inOrder, true);
  },
};

export const commitPerRound: Scenario = {
  name: 'each round of a drain is committed by itself: one that dies later keeps what it had settled',
  async run(ledger) {
    const cast = await ledger.cast([10, 0, 2000, 0]);
    await using holder = await Session.open(ledger);
    await using drain = await Session.open(ledger);
    const [sender, receiver] = [cast.users[2] ?? '', cast.users[3] ?? ''];
    // a drain that knows nothing of earlier ones takes 1000 first
    await ledger.db.pool.query('delete from gift_batch_logs');
    await ledger.sendAll(
      Array.from({ length: 1000 }, () => ({
        ...{ id: randomUUID(), sender, receiver, stream: cast.streams[0] ?? '', amount: 1n },
      })),
    );
    await sendOne(ledger, cast, 0, 1, 10);
    await holdWallets(holder, [cast.users[0]]);
    const draining = drain.outcome("call drain_gift_ledger(60000, 'scenario')");
    const waited = await drain.waits(ledger, draining);
    const decided = () =>
      ledger.db.one<number>(
        'select count(*)::int from gift_settlements join gift_ledger using (seq) where sender_id = any($1)',
        [cast.users],
      );
    const begun = await ledger.db.one<number>(
      "select count(*)::int from gift_batch_logs where trigger_source = 'scenario' and backend_pid = $1 and finished_at is null",
      [drain.pid],
    );
    const meanwhile = await decided();
    await ledger.db.pool.query('select pg_terminate_backend($1)', [drain.pid]);
    await draining;
    await holder.query('commit');
    const after = await decided();
    await ledger.settle();
    return [
      ...unlike('the second round waits', waited, true),
      ...unlike('its log row stands open', begun, 1),
      ...unlike('decided before and after its end', [meanwhile, after, await decided()], [1000, 1000, 1001]),
    ];
  },
};

export const reversalBesideRound: Scenario = {
  name: 'a reversal and a round at the same time do not make the list from what was before',
  async run(ledger) {
    // a synthetic run has one list; of several, those that come after the first wait see the present
    const cast = await ledger.cast([100, 100, 0, 0], { runId: `run-${randomUUID()}` });
    await using settling = await Session.open(ledger);
    await using desk = await Session.open(ledger);
    const id = await sendOne(ledger, cast, 0, 2, 70);
    await sendOne(ledger, cast, 1, 3, 20);
    await ledger.settle();
    // other wallets than the reversal's: only the settlement lock keeps the two apart
    await sendOne(ledger, cast, 1, 3, 30);
    await settling.query('begin');
    await settling.query(batchSql, [1000]);
    const reversal = desk.outcome("select reverse_gift($1, 'test')", [id]);
    await desk.waits(ledger, reversal);
    await settling.query('commit');
    return [
      ...unlike('the reversal', await reversal, 'ok'),
      ...(await listUnlike(ledger, cast, [[1, 50]])),
      ...unlike('wallets', await balances(ledger, cast), [100, 50, 0, 50]),
    ];
  },
};

export const competingReversals: Scenario = {
  name: 'two reversals at the same time cannot take the same coins from their receiver',
  async run(ledger) {
    const cast = await ledger.cast([100, 100, 0, 0]);
    await using first = await Session.open(ledger);
    await using second = await Session.open(ledger);
    const ids = [await sendOne(ledger, cast, 0, 2, 50), await sendOne(ledger, cast, 1, 2, 50)];
    await ledger.settle();
    await sendOne(ledger, cast, 2, 3, 50);
    await ledger.settle();
    const reverse = "select reverse_gift($1, 'test')";
    await first.query('begin');
    const outcome = await first.outcome(reverse, [ids[0]]);
    const other = second.outcome(reverse, [ids[1]]);
    await second.waits(ledger, other);
    await first.query('commit');
    return [
      ...unlike('outcomes', [outcome, await other], ['ok', 'PT409']),
      ...unlike('wallets', await balances(ledger, cast), [100, 50, 0, 50]),
    ];
  },
};
