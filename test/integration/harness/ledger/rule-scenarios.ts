import { randomUUID } from 'node:crypto';
import type { Cast, LedgerDatabase } from './ledger-database.ts';
import { balances, type Scenario, sendOne, statuses, unlike } from './scenario.ts';

/** Rules that one session is enough to see: what is decided, once, by whom and what it is worth. */

export const seqOrder: Scenario = {
  name: 'a round takes the oldest gifts and decides them in the order of seq',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    for (let i = 0; i < 4; i++) await sendOne(ledger, cast, 0, 1, 100 - i);
    // the order of rows on disk is nobody's promise: here it is the reverse
    for (const offset of [2, 1, 0]) {
      await ledger.db.pool.query(
        'update gift_pending set amount = amount where seq = (select seq from gift_pending order by seq offset $1 limit 1)',
        [offset],
      );
    }
    await ledger.settle(1);
    await ledger.settle();
    return unlike('statuses', await statuses(ledger, cast), ['settled', 'failed', 'failed', 'failed']);
  },
};

export const orderWithinRound: Scenario = {
  name: 'of two gifts in one round the earlier is paid',
  async run(ledger) {
    const cast = await ledger.cast([100, 0, 50, 0]);
    for (const [sender, receiver, amount] of [
      [0, 1, 80],
      [2, 3, 40],
      [0, 1, 70],
      [2, 3, 30],
      [0, 1, 20],
    ] as const)
      await sendOne(ledger, cast, sender, receiver, amount);
    await ledger.settle();
    const expected = ['settled', 'settled', 'failed', 'failed', 'settled'];
    return unlike('statuses', await statuses(ledger, cast), expected);
  },
};

export const greedyWithSkip: Scenario = {
  name: 'a gift that is too large takes nothing, and cheaper ones after it are paid',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    for (const amount of [60, 70, 40]) await sendOne(ledger, cast, 0, 1, amount);
    await ledger.settle();
    return [
      ...unlike('statuses', await statuses(ledger, cast), ['settled', 'failed', 'settled']),
      ...unlike('wallets', await balances(ledger, cast), [0, 100]),
    ];
  },
};

export const exactlyOnce: Scenario = {
  name: 'a decided gift whose queue row comes back is not settled again',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    const id = await sendOne(ledger, cast, 0, 1, 40);
    await ledger.settle();
    await ledger.db.pool.query(
      `insert into gift_pending (seq, sender_id, receiver_id, stream_id, amount, enqueued_at)
       select seq, sender_id, receiver_id, stream_id, amount, created_at from gift_ledger where gift_id = $1`,
      [id],
    );
    // refused or passed over, either will do; the row is taken away again
    await ledger.settle().catch(() => {});
    await ledger.db.pool.query('delete from gift_pending where sender_id = any($1)', [cast.users]);
    const decisions = await ledger.db.one<number>(
      'select count(*)::int from gift_settlements join gift_ledger using (seq) where gift_id = $1',
      [id],
    );
    return [
      ...unlike('decisions', decisions, 1),
      ...unlike('wallets', await balances(ledger, cast), [60, 40]),
    ];
  },
};

export const netOfFee: Scenario = {
  name: 'the fee leaves what the receiver gets, and no coin is made or lost',
  async run(ledger) {
    const cast = await ledger.cast([100, 0]);
    await sendOne(ledger, cast, 0, 1, 100);
    await ledger.db.pool.query('update gift_settings set fee_bps = 500');
    try {
      await ledger.settle();
    } finally {
      await ledger.db.pool.query('update gift_settings set fee_bps = 0');
    }
    return unlike('wallets', await balances(ledger, cast), [0, 95]);
  },
};

export const topList: Scenario = {
  name: 'the list that people see is what the gifts make',
  async run(ledger) {
    const cast = await ledger.cast([100, 100, 100]);
    for (const [sender, receiver, amount] of [
      [0, 1, 30],
      [1, 2, 50],
      [2, 0, 10],
    ] as const)
      await sendOne(ledger, cast, sender, receiver, amount);
    await ledger.settle(2);
    await ledger.settle();
    return listUnlike(ledger, cast, [
      [1, 50],
      [0, 30],
      [2, 10],
    ]);
  },
};

export const takenId: Scenario = {
  name: 'a gift id that is taken refuses other contents, and changes nothing',
  async run(ledger) {
    const cast = await ledger.cast([100, 0, 0]);
    const [sender, receiver, other] = cast.users as [string, string, string]; // three were made
    const gift = { id: randomUUID(), sender, receiver, stream: cast.streams[0] ?? '', amount: 10n };
    await ledger.send(gift);
    const answers = [
      await ledger.send(gift),
      await ledger.send({ ...gift, amount: 11n }),
      await ledger.send({ ...gift, receiver: other }),
      await ledger.send({ ...gift, sender: other }),
    ];
    await ledger.settle();
    return [
      ...unlike('answers', answers, ['repeated', 'refused', 'refused', 'refused']),
      ...unlike('wallets', await balances(ledger, cast), [90, 10, 0]),
    ];
  },
};

export const reversalBooks: Scenario = {
  name: 'a reversal gives the coins back once and takes the gift out of the leaderboard',
  async run(ledger) {
    const cast = await ledger.cast([100, 100, 0]);
    const id = await sendOne(ledger, cast, 0, 2, 70);
    await sendOne(ledger, cast, 1, 2, 40);
    await ledger.settle();
    const answers = [await ledger.reverse(id), await ledger.reverse(id)];
    return [
      ...unlike('answers', answers, ['reversed', 'repeated']),
      ...unlike('wallets', await balances(ledger, cast), [100, 60, 40]),
      ...(await listUnlike(ledger, cast, [[1, 40]])),
    ];
  },
};

/** The list of the cast's stream or run against people (by number) and what they gave. */
export async function listUnlike(
  ledger: LedgerDatabase,
  cast: Cast,
  expected: ReadonlyArray<readonly [person: number, total: number]>,
): Promise<string[]> {
  const scope = cast.runId === null ? `s:${cast.streams[0]}` : `run:${cast.runId}`;
  const { top } = await ledger.db.one<{ top: Array<{ user_id: string; total: number }> }>(
    'select get_leaderboard($1)',
    [scope],
  );
  return unlike(
    'list',
    top.map(({ user_id, total }) => [cast.users.indexOf(user_id), total]),
    expected,
  );
}
