import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkMoney } from '../../../src/chaos/checkers/money.ts';
import type { Experiment } from '../../../src/chaos/experiment.ts';
import { chatSpam } from '../../../src/chaos/experiments/chat-spam.ts';
import { highLoad } from '../../../src/chaos/experiments/high-load.ts';
import { insufficientFunds } from '../../../src/chaos/experiments/insufficient-funds.ts';
import { seatExpiration } from '../../../src/chaos/experiments/seat-expiration.ts';
import { runExperiment } from '../../../src/chaos/run-experiment.ts';
import { type Clock, systemClock } from '../../../src/kernel/clock.ts';
import type { MatrixRow } from '../../../src/record/matrix-row.ts';
import { purgeRun } from '../../../src/run/session.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestStack, type TestStack } from '../harness/stack.ts';
import { probeContext } from '../probes/probe-context.ts';

let stack: TestStack;
let database: pg.Pool;
let admin: pg.Pool;

beforeAll(async () => {
  stack = await startTestStack({ livekit: true, provision: true });
  database = openDatabase(stack.env.DATABASE_URL, { max: 8 });
  admin = new pg.Pool({ connectionString: stack.adminUrl, max: 1 });
});

afterAll(async () => {
  await admin?.end();
  await database?.end();
  await stack?.stop();
});

let runs = 0;

async function rowOf(experiment: Experiment, clock: Clock = systemClock): Promise<MatrixRow> {
  const runId = `test-${experiment.id}-${++runs}`;
  try {
    return await runExperiment(experiment, () => probeContext(stack.target, { database, runId, clock }), 1);
  } finally {
    await purgeRun(database, runId);
  }
}

/** This machine's clock, were it so far from the database's. The doctor lets 2 s pass without a word. */
const clockOff = (ms: number): Clock => ({ ...systemClock, now: () => Date.now() + ms });

/** Runs the experiment with a protection taken away, and gives the protection back. */
async function rowWithMutant(experiment: Experiment, mutant: string, restore: string): Promise<MatrixRow> {
  await admin.query(mutant);
  try {
    return await rowOf(experiment);
  } finally {
    await admin.query(restore);
  }
}

async function definitionOf(name: string): Promise<string> {
  const { rows } = await admin.query<{ sql: string }>('select pg_get_functiondef($1::regproc) as sql', [
    name,
  ]);
  const sql = rows[0]?.sql;
  if (sql === undefined) throw new Error(`no function ${name}`);
  return sql;
}

const violated = (row: MatrixRow) => row.invariants.filter((i) => i.violations > 0).map((i) => i.name);
/** What a row that should pass says when it does not. */
const troubles = (row: MatrixRow) =>
  row.invariants.flatMap((i) => i.details.map((detail) => `${i.name}: ${detail}`));

/** Pays a coin out of nowhere into the wallet of everybody whose gift is decided. */
const coinFromNowhere = `
  create function public.mutant_coin() returns trigger language plpgsql security definer as $$
  begin
    update public.wallets w set balance = w.balance + 1
    where w.user_id in (select l.sender_id from public.gift_ledger l where l.seq = new.seq);
    return null;
  end $$;
  create trigger mutant_coin after insert on public.gift_settlements for each row execute function public.mutant_coin();
`;
const noCoin = 'drop trigger mutant_coin on public.gift_settlements; drop function public.mutant_coin()';

describe('chat-spam', () => {
  it('passes on the stack as it is', async () => {
    const row = await rowOf(chatSpam);
    expect(troubles(row)).toEqual([]);
    expect(row.verdict, row.reason).toBe('pass');
  });

  it('fails when the database does not keep the pace', async () => {
    const restore = await definitionOf('trollfix.chat_turn');
    const open = `create or replace function trollfix.chat_turn(p_stream_id uuid, p_user_id uuid) returns timestamptz
      language sql set search_path = '' as $$ select clock_timestamp() $$`;
    const row = await rowWithMutant(chatSpam, open, restore);
    expect(row.verdict).toBe('fail');
    expect(violated(row)).toEqual(
      expect.arrayContaining([
        'at most one stored message per second and user',
        'the database refuses a client without throttle',
        'of messages sent at once exactly one is stored',
      ]),
    );
  });
});

describe('insufficient-funds', () => {
  it('passes on the stack as it is', async () => {
    const row = await rowOf(insufficientFunds);
    expect(troubles(row)).toEqual([]);
    expect(row.verdict, row.reason).toBe('pass');
  });

  it('fails when coins come from nowhere', async () => {
    const row = await rowWithMutant(insufficientFunds, coinFromNowhere, noCoin);
    expect(row.verdict).toBe('fail');
    expect(violated(row)).toEqual(
      expect.arrayContaining(['money conserved', 'each wallet is what its gifts make of it']),
    );
  });
});

describe('high-load', () => {
  it('passes on the stack as it is', async () => {
    const row = await rowOf(highLoad);
    expect(troubles(row)).toEqual([]);
    expect(row.verdict, row.reason).toBe('pass');
    expect(row.fault).toMatchObject({ kind: 'lock_held', params: { rows: 25 } });
    expect(row.fault?.effectiveAt).not.toBeNull();
    expect(row.fault?.clearedAt).not.toBeNull();
  });

  it('fails when coins come from nowhere', async () => {
    const row = await rowWithMutant(highLoad, coinFromNowhere, noCoin);
    expect(violated(row)).toContain('money conserved');
    expect(row.verdict).toBe('fail');
  });

  it('finds its settlement runs whatever the clock of this machine says', async () => {
    const row = await rowOf(highLoad, clockOff(20_000));
    expect(row.verdict, row.reason).toBe('pass');
  });

  it('fails when settlement does not log its backlog', async () => {
    const name = 'trollfix.finish_log';
    const restore = await definitionOf(name);
    const blind = restore.replace('backlog_count = v_backlog', 'backlog_count = null');
    expect(blind).not.toBe(restore);
    const row = await rowWithMutant(highLoad, blind, restore);
    expect(violated(row)).toContain('every settlement run logged its backlog');
  });
});

describe('seat-expiration', () => {
  it('passes on the stack as it is', async () => {
    const row = await rowOf(seatExpiration);
    expect(troubles(row)).toEqual([]);
    expect(row.verdict, row.reason).toBe('pass');
    expect(row.detectionMs).toBeGreaterThanOrEqual(0);
  });

  it('judges by the clock of the database, which decides when a seat runs out', async () => {
    const row = await rowOf(seatExpiration, clockOff(-2000));
    expect(troubles(row)).toEqual([]);
    expect(row.verdict, row.reason).toBe('pass');
  });

  it('fails when nothing expires a seat', async () => {
    // the sweep and the comparison of rooms with rows each end a seat by themselves: both are switched off
    const restore = `${await definitionOf('public.expire_due_seats')}; ${await definitionOf('public.guard_rooms')}`;
    const never = `create or replace function public.expire_due_seats(p_limit integer default 500)
        returns setof public.seat_ejections language sql security definer set search_path = ''
        as $$ select * from public.seat_ejections where false $$;
      create or replace function public.guard_rooms(p_rooms text[]) returns jsonb
        language sql stable security definer set search_path = '' as $$ select '[]'::jsonb $$`;
    const row = await rowWithMutant(seatExpiration, never, restore);
    expect(row.verdict).toBe('fail');
    expect(violated(row)).toEqual(
      expect.arrayContaining([
        'the holder is ejected by the server',
        'the witness sees the room without the holder',
      ]),
    );
  });
});

describe('the money checker', () => {
  const runId = 'money-checker';
  const broken = async (acknowledged: readonly string[]) => {
    const invariants = await checkMoney(database, runId, acknowledged);
    return invariants.filter(({ violations }) => violations > 0);
  };

  it('names what was acknowledged and is not in the ledger, what waits, and what does not add up', async () => {
    const lost = '00000000-0000-4000-8000-000000000001';
    const { rows } = await database.query<{ run: { users: { id: string }[]; streams: { id: string }[] } }>(
      'select create_synthetic_run($1, 2, 1, 100) as run',
      [runId],
    );
    const { users, streams } = rows[0]!.run;
    const gift = { gift_id: '00000000-0000-4000-8000-000000000002', stream_id: streams[0]!.id, amount: 5 };
    const people = { sender_id: users[0]!.id, receiver_id: users[1]!.id };
    await database.query('select send_gifts($1)', [JSON.stringify([{ ...gift, ...people }])]);
    expect(await broken([lost])).toEqual([
      {
        name: 'each gift decided exactly once',
        checked: 1,
        violations: 1,
        details: ['1 gifts are not decided'],
      },
      {
        name: 'nothing acknowledged is lost',
        checked: 1,
        violations: 1,
        details: [expect.stringContaining(lost)],
      },
    ]);
    await database.query('call drain_gift_ledger()');
    expect(await broken([gift.gift_id])).toEqual([]);
    await database.query('update wallets set balance = balance + 7 where user_id = $1', [users[0]!.id]);
    expect(await broken([])).toMatchObject([
      { name: 'money conserved', details: [expect.stringContaining('difference 7')] },
      { name: 'each wallet is what its gifts make of it', details: [expect.stringContaining(users[0]!.id)] },
    ]);
    await purgeRun(database, runId);
  });
});
