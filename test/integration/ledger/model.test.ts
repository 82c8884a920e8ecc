import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditGifts } from '../../../src/target/postgres/gift-audit.ts';
import { DoublePlay } from '../harness/ledger/double-play.ts';
import { type Cast, LedgerDatabase } from '../harness/ledger/ledger-database.ts';
import { LedgerModel } from '../harness/ledger/model.ts';
import { readLedger } from '../harness/ledger/readings.ts';
import { everyAnswer, schedule } from '../harness/ledger/schedule.ts';

let ledger: LedgerDatabase;
beforeAll(async () => {
  ledger = await LedgerDatabase.start();
});
afterAll(async () => ledger?.[Symbol.asyncDispose]());

/** Each takes about 0.1 s. */
const cases = 40;
/** Shrinking a failure may take longer than the test has; what it found by then is to be reported. */
const bounded = { interruptAfterTimeLimit: 80_000, markInterruptAsFailure: true };

describe('the ledger and its reference model', () => {
  it('agree on every answer, wallet, status, reason and leaderboard of random schedules', async () => {
    const answers = new Set<string>();
    let n = 0;
    // a failure names its seed and path: fc.assert(…, { seed, path }) repeats it
    await fc.assert(
      fc.asyncProperty(schedule, async ({ feeBps, coins, real, actions }) => {
        await ledger.db.pool.query('update gift_settings set fee_bps = $1', [feeBps]);
        // what a failed case left would make every simpler one fail too
        await ledger.db.pool.query('delete from gift_pending');
        const cast = await ledger.cast(coins, { streams: 2, ...(real ? {} : { runId: `model-${++n}` }) });
        const model = new LedgerModel(feeBps);
        for (const [i, user] of cast.users.entries()) model.deposit(user, user, BigInt(coins[i] ?? 0));
        const play = new DoublePlay(ledger, model, cast);
        for (const action of actions) {
          const { what, database, model: expected } = await play.take(action);
          expect({ what, answer: database }).toEqual({ what, answer: expected });
          if (typeof expected === 'string') answers.add(`${what}: ${expected}`);
        }
        await expectAgreement(model, cast);
        while (model.backlog > 0) {
          const { database, model: expected } = await play.settle(50);
          expect(database).toEqual(expected);
        }
        await expectAgreement(model, cast);
      }),
      { numRuns: cases, examples: [[everyAnswer]], ...bounded },
    );
    const { findings } = await auditGifts(ledger.db.pool);
    expect(findings.filter(({ violations }) => violations > 0)).toEqual([]);
    // it went everywhere, or this proved little
    for (const answer of [
      'again: refused',
      'again: repeated',
      'deposit: refused',
      'list: refused',
      'reverse: failed',
      'reverse: insufficient_funds',
      'reverse: pending',
      'reverse: repeated',
      'reverse: reversed',
      'reverse: unknown',
      'send: accepted',
    ])
      expect(answers).toContain(answer);
  });
});

/** Compares all that the cast has, and nothing of the casts before it. */
async function expectAgreement(model: LedgerModel, { users, streams, runId }: Cast): Promise<void> {
  const all = await readLedger(ledger.db.pool, runId);
  const own = new Set(users);
  const decisions = new Map(all.settlements.map((settlement) => [settlement.seq, settlement]));
  const reversed = new Set(all.reversals.map(({ seq }) => seq));
  const gifts = all.gifts.filter(({ sender }) => own.has(sender));
  expect(
    gifts.map(({ seq, id }) => {
      const { status, reason, fee } = decisions.get(seq) ?? { status: 'pending' };
      return { id, status, reason, fee, reversed: reversed.has(seq) };
    }),
  ).toEqual(
    model.giftIds.map((id) => {
      const { status, reason, fee } = model.decision(id) ?? { status: 'pending' };
      return { id, status, reason, fee, reversed: model.isReversed(id) };
    }),
  );
  expect(
    new Map(all.wallets.filter(({ user }) => own.has(user)).map((row) => [row.user, row.balance])),
  ).toEqual(new Map(users.map((user) => [user, model.balance(user)])));
  // the list of everybody holds casts of before; what a cast gave there is compared without places
  const scopes = runId === null ? streams.map((stream) => `s:${stream}`) : [`run:${runId}`];
  for (const scope of scopes) {
    const top = all.tops.filter((entry) => entry.scope === scope);
    expect(top.map(({ rank, user, total, gifts: n }) => ({ rank, user, total, gifts: n }))).toEqual(
      model.board(scope),
    );
  }
  const everybody = runId === null ? 'all' : `run:${runId}`;
  const board = all.boards.filter(({ scope, user }) => scope === everybody && own.has(user));
  expect(new Map(board.map(({ user, total, gifts: n }) => [user, `${total} in ${n}`]))).toEqual(
    new Map(model.board(everybody).map(({ user, total, gifts: n }) => [user, `${total} in ${n}`])),
  );
}
