import type pg from 'pg';
import { createFixture, type Fixture } from '../../probes/fixture.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import { checkMoney } from '../checkers/money.ts';
import type { Experiment, ExperimentContext, Observation } from '../experiment.ts';
import { invariant } from '../run-experiment.ts';
import { balancesSql, decisionsSql } from './settlement.sql.ts';
import { settleAll } from './settlement.ts';

const openingBalance = 100;
/** 60 is paid, the next 60 is not covered by the 40 that are left and fails, the 40 after it is still paid. */
const amounts = [60, 60, 40] as const;
const outcomes = ['settled', 'failed', 'settled'] as const;
/** Enough senders that rounds hold many of them at once; each sends its gifts one after the other. */
const senders = 20;

export const insufficientFunds: Experiment = {
  id: 'insufficient-funds',
  scenario: 'Insufficient Funds',
  expected:
    'A gift that the sender cannot pay is marked `failed` and moves no money; later gifts that are covered are still paid; balances add up.',
  remediation:
    'Settle only through `process_gift_ledger_batch` or `drain_gift_ledger`; look at the wallets named before settling more.',
  does: 'senders with 100 coins each send gifts of 60, 60 and 40',
  touches: 'gifts and wallets of synthetic users',
  needs: ['database', 'userTokens'],
  run: runInsufficientFunds,
};

interface Decision {
  readonly giftId: string;
  readonly senderId: string;
  readonly amount: number;
  readonly status: string;
  readonly reason: string | null;
}

async function runInsufficientFunds(context: ExperimentContext): Promise<Observation> {
  const { database } = context;
  if (database === undefined) throw new Error('insufficient-funds runs with a database');
  const size = { users: senders + 1, streams: 1, balance: openingBalance, signIn: true };
  const fixture = await createFixture(context, size);
  try {
    const acknowledged = await sendAll(context, fixture);
    await settleAll(context, database);
    return await observe(context, database, fixture, acknowledged);
  } finally {
    await fixture.release();
  }
}

async function sendAll(context: ExperimentContext, { users, streamIds }: Fixture): Promise<string[]> {
  const { target, random } = context;
  const receiver = users[senders];
  if (receiver === undefined) throw new Error('the fixture is incomplete');
  const rest = new SupabaseRest({ supabaseUrl: target.supabaseUrl, apiKey: target.anonKey.reveal() });
  const acknowledged: string[] = [];
  try {
    const work = users.slice(0, senders).map(async (user) => {
      for (const amount of amounts) {
        const giftId = random.uuid();
        context.history({ process: user.username, op: 'gift', type: 'invoke', value: { giftId, amount } });
        await rest.rpc(
          'send_gift',
          { p_gift_id: giftId, p_stream_id: streamIds[0], p_receiver_id: receiver.id, p_amount: amount },
          user.token,
        );
        context.history({ process: user.username, op: 'gift', type: 'ok', value: { giftId } });
        acknowledged.push(giftId);
      }
    });
    await Promise.all(work);
    return acknowledged;
  } finally {
    await rest.close();
  }
}

async function observe(
  context: ExperimentContext,
  database: pg.Pool,
  { users }: Fixture,
  acknowledged: readonly string[],
): Promise<Observation> {
  const { rows: decisions } = await database.query<Decision>(decisionsSql, [context.runId]);
  const { rows: balances } = await database.query<{ userId: string; balance: number }>(balancesSql, [
    context.runId,
  ]);
  const bySender = Map.groupBy(decisions, (decision) => decision.senderId);
  const failed = decisions.filter((decision) => decision.status === 'failed');
  const receiver = balances.find(({ userId }) => userId === users[senders]?.id)?.balance;
  const paid = amounts[0] + amounts[2];
  return {
    observed: `${failed.length} of ${decisions.length} gifts failed, ${decisions.length - failed.length} settled; the receiver has ${receiver} coins`,
    load: { offered: senders * amounts.length, achieved: acknowledged.length, samples: decisions.length },
    fault: null,
    steadyState: {
      before: { balance: openingBalance },
      during: { failed: failed.length },
      after: { receiver },
    },
    detectionMs: null,
    recoveryMs: null,
    invariants: [
      invariant('paid, failed, paid for each sender', bySender.size, [
        ...[...bySender].flatMap(([senderId, own]) => {
          const seen = own.map((decision) => decision.status).join(', ');
          return seen === outcomes.join(', ') ? [] : [`sender ${senderId}: ${seen}`];
        }),
        ...(bySender.size === senders ? [] : [`${bySender.size} of ${senders} senders are in the ledger`]),
      ]),
      invariant(
        'a failed gift says why',
        failed.length,
        failed.filter((f) => f.reason !== 'insufficient_funds').map((f) => `${f.giftId}: ${f.reason}`),
      ),
      invariant(
        'the receiver got exactly what was settled',
        receiver === undefined ? 0 : 1,
        receiver === openingBalance + senders * paid
          ? []
          : [`has ${receiver}, not ${openingBalance + senders * paid}`],
      ),
      ...(await checkMoney(database, context.runId, acknowledged)),
    ],
    details: { senders, failed: failed.length },
  };
}
