import type { LedgerDatabase } from './ledger-database.ts';
import * as locks from './lock-scenarios.ts';
import * as rules from './rule-scenarios.ts';
import type { Scenario } from './scenario.ts';

/** The schema with one guard taken out, and the check that must notice. */
export interface Mutant {
  /** What is wrong with it. */
  readonly name: string;
  readonly changes: readonly Change[];
  readonly caughtBy: Scenario;
  /** What the check must say: a mutant that merely does not run would be caught by anything. */
  readonly finding: RegExp;
}

type Change = RoutineChange | TableChange;

/** A change of the text that the function has now, so that mutants follow it through migrations. */
interface RoutineChange {
  /** Function or procedure, with its schema. */
  readonly routine: string;
  /** Must be found exactly once. */
  readonly replace: RegExp;
  readonly by: string;
}

interface TableChange {
  readonly sql: string;
  readonly undo: string;
}

const settleRound = 'trollfix.settle_round';
const noSettlementLock: Change = {
  routine: settleRound,
  replace: /if not trollfix\.try_settlement_lock\(\) then/g,
  by: 'if false then',
};

const withoutPrimaryKey: Change = {
  sql: 'alter table public.gift_settlements drop constraint gift_settlements_pkey',
  // what only the mutant let in would keep the key from coming back
  undo: `
    alter table public.gift_settlements disable trigger user;
    delete from public.gift_settlements a using public.gift_settlements b where a.seq = b.seq and a.ctid > b.ctid;
    alter table public.gift_settlements enable always trigger gift_settlements_refuse_change;
    alter table public.gift_settlements enable always trigger gift_settlements_refuse_real_rows;
    alter table public.gift_settlements add constraint gift_settlements_pkey primary key (seq)`,
};

export const mutants: readonly Mutant[] = [
  {
    name: 'no settlement lock',
    changes: [noSettlementLock],
    caughtBy: locks.noOvertaking,
    finding: /statuses: \["failed","settled"\]/,
  },
  {
    name: 'a second drainer waits for its turn',
    changes: [
      {
        routine: 'trollfix.try_settlement_lock',
        replace: /select pg_try_advisory_xact_lock\(29798, 1\)/g,
        by: 'select pg_advisory_xact_lock(29798, 1) is not null',
      },
    ],
    caughtBy: locks.noOvertaking,
    finding: /the second waits: true/,
  },
  {
    name: 'gift_settlements without its primary key',
    changes: [withoutPrimaryKey],
    caughtBy: rules.exactlyOnce,
    finding: /decisions: 2/,
  },
  {
    name: 'the queue is claimed in no order',
    changes: [{ routine: settleRound, replace: /order by d\.seq limit p_limit/g, by: 'limit p_limit' }],
    caughtBy: rules.seqOrder,
    finding: /statuses: \["failed",.*"settled"\], not/,
  },
  {
    name: 'within a round the latest gift is decided first',
    changes: [
      { routine: settleRound, replace: /order by g\.sender, g\.seq\b/g, by: 'order by g.sender, g.seq desc' },
    ],
    caughtBy: rules.orderWithinRound,
    finding: /statuses: \["failed","failed","settled"/,
  },
  {
    name: 'wallets locked FOR UPDATE',
    changes: [
      {
        routine: settleRound,
        replace: /order by l\.user_id for no key update/g,
        by: 'order by l.user_id for update',
      },
    ],
    caughtBy: locks.keyShareDuringRound,
    finding: /refers to both wallets: "55P03"/,
  },
  {
    name: 'wallets not locked',
    changes: [
      { routine: settleRound, replace: /order by l\.user_id for no key update/g, by: 'order by l.user_id' },
    ],
    caughtBy: locks.moneyOnItsWay,
    finding: /statuses: \["failed"\]/,
  },
  {
    name: 'wallets locked from the other end',
    changes: [
      {
        routine: settleRound,
        replace: /order by l\.user_id for no key update/g,
        by: 'order by l.user_id desc for no key update',
      },
    ],
    caughtBy: locks.orderlyWriters,
    finding: /40P01/,
  },
  {
    name: 'no settlement lock, and each round locks its payer first',
    changes: [
      noSettlementLock,
      {
        routine: settleRound,
        replace: /order by l\.user_id for no key update/g,
        by: "order by l.user_id::text is distinct from current_setting('trollfix.payer', true), l.user_id for no key update",
      },
    ],
    caughtBy: locks.crossingDrainers,
    finding: /outcomes: .*40P01/,
  },
  {
    name: 'plain prefix sum instead of greedy with skip',
    changes: [
      {
        routine: settleRound,
        replace: /if v_gift\.amount <= v_left then\s+v_left := v_left - v_gift\.amount;\s+else/g,
        by: 'v_left := v_left - v_gift.amount; if v_left >= 0 then null; else',
      },
    ],
    caughtBy: rules.greedyWithSkip,
    finding: /statuses: \["settled","failed","failed"\]/,
  },
  {
    name: "the time of the transaction's start as that of the decision",
    changes: [{ routine: settleRound, replace: /v_now := clock_timestamp\(\)/g, by: 'v_now := now()' }],
    caughtBy: locks.decisionTime,
    finding: /decided later: false/,
  },
  {
    name: 'receivers get the fee too',
    changes: [{ routine: settleRound, replace: /sum\(r\.amount - r\.fee\)/g, by: 'sum(r.amount)' }],
    caughtBy: rules.netOfFee,
    finding: /wallets: \[0,100\]/,
  },
  {
    name: 'top lists not merged',
    changes: [{ routine: settleRound, replace: /perform trollfix\.merge_top\([^;]*;/g, by: 'null;' }],
    caughtBy: rules.topList,
    finding: /list: \[\]/,
  },
  {
    name: 'a drain commits at its end only',
    changes: [
      {
        routine: 'public.drain_gift_ledger',
        replace: /v_error := sqlstate \|\| ': ' \|\| sqlerrm;\s+end;\s+commit;/g,
        by: "v_error := sqlstate || ': ' || sqlerrm; end;",
      },
    ],
    caughtBy: locks.commitPerRound,
    finding: /decided before and after its end: \[0,0,1000\]/,
  },
  {
    name: 'a taken gift id answers whatever is sent under it',
    changes: [
      {
        routine: 'trollfix.repeated_gift',
        replace: /is distinct from \(p_sender_id, p_receiver_id, p_stream_id, p_amount\)/g,
        by: 'is null',
      },
    ],
    caughtBy: rules.takenId,
    finding: /answers: \["repeated","repeated"/,
  },
  {
    name: 'reversals beside the settlement lock',
    changes: [
      { routine: 'public.reverse_gift', replace: /perform pg_advisory_xact_lock\(29798, 1\);/g, by: '' },
    ],
    caughtBy: locks.reversalBesideRound,
    finding: /list: \[\[1,20\]\]/,
  },
  {
    name: 'reversals under no lock',
    changes: [
      { routine: 'public.reverse_gift', replace: /perform pg_advisory_xact_lock\(29798, 1\);/g, by: '' },
      {
        routine: 'public.reverse_gift',
        replace: /order by l\.user_id for no key update/g,
        by: 'order by l.user_id',
      },
    ],
    caughtBy: locks.competingReversals,
    finding: /outcomes: \["ok","23514"\]/,
  },
  {
    name: 'reversals that leave the boards as they are',
    changes: [
      { routine: 'public.reverse_gift', replace: /perform trollfix\.lower_boards\([^;]*;/g, by: 'null;' },
    ],
    caughtBy: rules.reversalBooks,
    finding: /list: \[\[0,70\],\[1,40\]\]/,
  },
];

/**
 * Puts a mutant in.
 * @returns what takes it out again
 * @throws when a change does not take hold: the routine has been rewritten and the mutant must follow
 */
export async function applyMutant(
  ledger: LedgerDatabase,
  { name, changes }: Mutant,
): Promise<() => Promise<void>> {
  const undo: string[] = [];
  for (const change of changes) {
    if ('routine' in change) {
      undo.unshift(await mutateRoutine(ledger, name, change));
    } else {
      await ledger.db.pool.query(change.sql);
      undo.unshift(change.undo);
    }
  }
  return async () => {
    for (const sql of undo) await ledger.db.pool.query(sql);
  };
}

/** @returns the routine as it was */
async function mutateRoutine(
  ledger: LedgerDatabase,
  mutant: string,
  { routine, replace, by }: RoutineChange,
): Promise<string> {
  const source = () => ledger.db.one<string>('select pg_get_functiondef($1::regproc)', [routine]);
  const before = await source();
  const found = before.match(replace)?.length ?? 0;
  if (found !== 1)
    throw new Error(`mutant "${mutant}": ${replace} is found ${found} times in ${routine}, not once`);
  await ledger.db.pool.query(before.replace(replace, by));
  if ((await source()) === before) throw new Error(`mutant "${mutant}" did not take hold in ${routine}`);
  return before;
}
