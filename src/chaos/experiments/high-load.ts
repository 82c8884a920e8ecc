import type pg from 'pg';
import { createFixture, type Fixture } from '../../probes/fixture.ts';
import { lastSettlementLog } from '../../probes/gift/settlement.ts';
import { sendGiftsSql } from '../../probes/gift-backlog.sql.ts';
import { pendingGifts } from '../../probes/gift-backlog.ts';
import type { MatrixRow } from '../../record/matrix-row.ts';
import { checkMoney } from '../checkers/money.ts';
import type { Experiment, ExperimentContext, Observation } from '../experiment.ts';
import { invariant } from '../run-experiment.ts';
import { batchLogsSinceSql, decidedOfSql, holdPendingSql } from './settlement.sql.ts';
import { processBatch, settleAll } from './settlement.ts';

/** Small batches make many rounds, so that two drainers meet often. */
const batchSize = 200;
const users = 200;
const firstGifts = 4000;
/** Sent while the drainers work. */
const laterGifts = 4000;
const intakeSize = 500;
/** Gifts that another session holds locked: the drainers have to pass them over. */
const heldGifts = 25;
/** Covers every gift of a sender, so that no gift fails and order cannot hide a loss. */
const balance = 1_000_000;

/** The invariant that the report's row on metrics stands on. */
export const backlogLogged = 'every settlement run logged its backlog';

export const highLoad: Experiment = {
  id: 'high-load',
  scenario: 'High Load',
  expected:
    'Two drainers and a session that holds rows locked do not wait for each other (SKIP LOCKED); nothing is settled twice; the backlog is logged and goes to zero once the rows are free.',
  remediation:
    'Look for a session that holds `gift_pending` rows or the settlement lock (`trollfix gift backlog`), end it, then `trollfix gift drain`.',
  does: `two drainers settle ${firstGifts + laterGifts} gifts during intake while ${heldGifts} of them are held locked`,
  touches: 'gifts and wallets of synthetic users; for seconds, the settlement lock of the whole ledger',
  needs: ['database'],
  run: runHighLoad,
};

async function runHighLoad(context: ExperimentContext): Promise<Observation> {
  const { database } = context;
  if (database === undefined) throw new Error('high-load runs with a database');
  const fixture = await createFixture(context, { users, streams: 1, balance, signIn: false });
  const sinceLog = await lastSettlementLog(database);
  const acknowledged = await sendBatches(context, database, fixture, firstGifts);
  const before = await pendingGifts(database, context.runId);
  const lock = await holdGifts(context, database);
  try {
    const [later, one, two] = await Promise.all([
      sendBatches(context, database, fixture, laterGifts),
      drainUntilHeld(context, database, 'drainer-1', lock.seqs.length),
      drainUntilHeld(context, database, 'drainer-2', lock.seqs.length),
    ]);
    acknowledged.push(...later);
    const decidedWhileHeld = await decidedOf(database, lock.seqs);
    const during = await pendingGifts(database, context.runId);
    await lock.free();
    await settleAll(context, database);
    const after = await pendingGifts(database, context.runId);
    const logs = await batchLogs(database, sinceLog);
    const seen = {
      before,
      during,
      after,
      decidedWhileHeld,
      held: lock.seqs.length,
      drains: [one, two] as const,
    };
    return {
      ...describe(seen, acknowledged.length, logs),
      fault: lock.fault(),
      invariants: [
        ...lockInvariants(seen, logs),
        ...(await checkMoney(database, context.runId, acknowledged)),
      ],
    };
  } finally {
    await lock.free();
  }
}

interface Drain {
  readonly rounds: number;
  readonly busy: number;
  readonly settled: number;
}

interface Seen {
  readonly before: number;
  readonly during: number;
  readonly after: number;
  readonly held: number;
  readonly decidedWhileHeld: number;
  readonly drains: readonly [Drain, Drain];
}

interface Logs {
  readonly runs: number;
  readonly logged: number;
  readonly maxBacklog: number;
}

function describe(seen: Seen, accepted: number, logs: Logs): Omit<Observation, 'fault' | 'invariants'> {
  const [one, two] = seen.drains;
  const busy = one.busy + two.busy;
  const noLock = seen.held === 0 ? 'no gift could be locked: another settler took them all first' : undefined;
  return {
    observed:
      `two drainers settled ${one.settled + two.settled} gifts in ${one.rounds + two.rounds} rounds (${busy} times the other was at work), ` +
      `passed over ${seen.held} locked ones, which were settled after they were freed; backlog ${seen.before} → ${seen.during} → ${seen.after}, ` +
      `logged ${logs.logged} times, at most ${logs.maxBacklog}`,
    load: { offered: firstGifts + laterGifts, achieved: accepted, samples: accepted },
    steadyState: {
      before: { backlog: seen.before },
      during: { backlog: seen.during },
      after: { backlog: seen.after },
    },
    detectionMs: null,
    recoveryMs: null,
    ...(noLock === undefined ? {} : { invalid: noLock }),
    details: {
      drainers: seen.drains,
      held: seen.held,
      maxBacklog: logs.maxBacklog,
    },
  };
}

function lockInvariants(seen: Seen, logs: Logs): MatrixRow['invariants'] {
  const [one, two] = seen.drains;
  return [
    invariant('locked gifts are passed over, not waited for', seen.held, [
      ...(seen.decidedWhileHeld === 0 ? [] : [`${seen.decidedWhileHeld} locked gifts were decided`]),
      ...(seen.during === seen.held ? [] : [`${seen.during} gifts waited while ${seen.held} were locked`]),
    ]),
    invariant('both drainers ran', 2, [
      ...(one.rounds > 0 ? [] : ['drainer 1 had no round']),
      ...(two.rounds > 0 ? [] : ['drainer 2 had no round']),
    ]),
    invariant(backlogLogged, logs.runs, [
      ...(logs.logged === logs.runs ? [] : [`${logs.runs - logs.logged} runs without a backlog_count`]),
      ...(logs.maxBacklog > 0 ? [] : ['no run saw a backlog']),
    ]),
    invariant('the backlog goes to zero', 1, seen.after === 0 ? [] : [`${seen.after} gifts are left`]),
  ];
}

async function sendBatches(
  context: ExperimentContext,
  database: pg.Pool,
  { users: people, streamIds }: Fixture,
  count: number,
): Promise<string[]> {
  const { random } = context;
  const acknowledged: string[] = [];
  for (let sent = 0; sent < count; sent += intakeSize) {
    context.signal.throwIfAborted();
    const gifts = Array.from({ length: Math.min(intakeSize, count - sent) }, () => {
      const sender = random.int(people.length);
      // anybody but the sender
      const receiver = (sender + 1 + random.int(people.length - 1)) % people.length;
      return {
        gift_id: random.uuid(),
        sender_id: people[sender]?.id,
        receiver_id: people[receiver]?.id,
        stream_id: streamIds[0],
        amount: 1 + random.int(50),
      };
    });
    await database.query(sendGiftsSql, [JSON.stringify(gifts)]);
    acknowledged.push(...gifts.map((gift) => gift.gift_id));
    context.history({ process: 'intake', op: 'gifts', type: 'ok', value: gifts.length });
  }
  return acknowledged;
}

async function drainUntilHeld(
  context: ExperimentContext,
  database: pg.Pool,
  name: string,
  held: number,
): Promise<Drain> {
  const connection = await database.connect();
  const total = { rounds: 0, busy: 0, settled: 0 };
  try {
    // the intake goes on meanwhile, so an empty round is no end: three in a row with nothing but the held rows are
    for (let idle = 0; idle < 3; ) {
      context.signal.throwIfAborted();
      const result = await processBatch(context, connection, name, batchSize);
      total.settled += result.settled;
      if (result.busy) total.busy++;
      else total.rounds++;
      const rest = await pendingGifts(database, context.runId);
      idle = !result.busy && result.claimed === 0 && rest <= held ? idle + 1 : 0;
    }
    return total;
  } finally {
    connection.release();
  }
}

interface HeldLock {
  readonly seqs: readonly string[];
  fault(): MatrixRow['fault'];
  /** Idempotent. */
  free(): Promise<void>;
}

async function holdGifts(context: ExperimentContext, database: pg.Pool): Promise<HeldLock> {
  const connection = await database.connect();
  const now = () => new Date(context.clock.now()).toISOString();
  const injectedAt = now();
  await connection.query('begin');
  const { rows } = await connection.query<{ seq: string }>(holdPendingSql, [context.runId, heldGifts]);
  const effectiveAt = rows.length > 0 ? now() : null;
  context.history({ process: 'holder', op: 'lock', type: 'ok', value: rows.length });
  let clearedAt: string | null = null;
  return {
    seqs: rows.map((row) => row.seq),
    fault: () => ({
      kind: 'lock_held',
      target: 'gift_pending',
      params: { rows: rows.length },
      injectedAt,
      effectiveAt,
      clearedAt,
    }),
    free: async () => {
      if (clearedAt !== null) return;
      clearedAt = now();
      try {
        await connection.query('rollback');
        connection.release();
      } catch (error) {
        connection.release(true);
        throw error;
      }
      context.history({ process: 'holder', op: 'unlock', type: 'ok' });
    },
  };
}

async function decidedOf(database: pg.Pool, seqs: readonly string[]): Promise<number> {
  const { rows } = await database.query<{ decided: number }>(decidedOfSql, [seqs]);
  return rows[0]?.decided ?? 0;
}

async function batchLogs(database: pg.Pool, sinceLog: string): Promise<Logs> {
  const { rows } = await database.query<Logs>(batchLogsSinceSql, [sinceLog]);
  return rows[0] ?? { runs: 0, logged: 0, maxBacklog: 0 };
}
