import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditGifts } from '../../../src/target/postgres/gift-audit.ts';
import { withConnection } from '../../../src/target/postgres/pool.ts';
import { type CheckName, checkLedger, counters } from '../harness/ledger/checks.ts';
import { type CrashReport, runLedgerCrashes } from '../harness/ledger/crash-run.ts';
import { LedgerDatabase } from '../harness/ledger/ledger-database.ts';
import { readLedgerIn } from '../harness/ledger/readings.ts';
import { killsPerCycle } from '../harness/ledger/workload.ts';

/** Every run another, named so that it can be repeated. */
const seed = Date.now() % 2 ** 31;
const rightCounters: Record<CheckName, number> = {
  'money difference': 0,
  'negative balance': 0,
  'settled twice': 0,
  'acknowledged but lost': 0,
  unsettled: 0,
  'order inversion': 0,
  'wallet unlike ledger': 0,
  'leaderboard unlike recomputation': 0,
};

/** Kills go on for so long; the first cycle of them is certain on any machine. */
const seconds = 10;

let ledger: LedgerDatabase;
let report: CrashReport;
beforeAll(async () => {
  process.stderr.write(`ledger crash run: node scripts/ledger-crash.ts --seed ${seed}\n`);
  ledger = await LedgerDatabase.start();
  report = await runLedgerCrashes(ledger, { seed, seconds });
});
afterAll(async () => ledger?.[Symbol.asyncDispose]());

describe(`a ledger that was killed again and again (seed ${seed})`, () => {
  it('has every counter at zero', async () => {
    const wrong = report.findings.filter(({ violations }) => violations !== 0);
    expect(counters(report.findings), JSON.stringify(wrong)).toEqual(rightCounters);
    expect(report.account.contradictions).toEqual([]);
    expect(report.roundErrors).toEqual([]);
    // and by the audit that operators have, which shares nothing with these checks
    const audit = await auditGifts(ledger.db.pool);
    expect(audit.findings.filter(({ violations }) => violations > 0)).toEqual([]);
  });

  it('was tried: kills, lost answers, repetitions, gifts of every fate', () => {
    const { kills, account, readings, findings } = report;
    const victims = Map.groupBy(kills, ({ victim }) => victim);
    expect(kills.length).toBeGreaterThanOrEqual(killsPerCycle);
    expect(victims.get('server')?.length).toBeGreaterThanOrEqual(2);
    expect(victims.get('backend')?.length).toBeGreaterThanOrEqual(2);
    expect(account.unknown).toBeGreaterThan(0);
    expect(account.hungUp).toBeGreaterThan(0);
    expect(account.repeated / account.requests).toBeGreaterThan(0.1);
    const fates = new Set(readings.settlements.map(({ status }) => status));
    expect([...fates].sort()).toEqual(['failed', 'settled']);
    expect(readings.reversals.length).toBeGreaterThan(0);
    expect(findings.filter(({ checked }) => checked === 0)).toEqual([]);
  });
});

/** Of the fault, as SQL by a superuser who has switched the guards off; what it must be found by. */
const plants: ReadonlyArray<{ what: string; sql: string; found: CheckName[] }> = [
  {
    what: 'a settlement deleted',
    sql: `delete from gift_settlements where seq = (select max(seq) from gift_settlements where status = 'settled'
      and seq not in (select seq from gift_reversals))`,
    found: ['unsettled', 'wallet unlike ledger', 'leaderboard unlike recomputation'],
  },
  {
    what: 'a credit doubled',
    sql: `update wallets w set balance = balance + l.amount from gift_ledger l
      where l.seq = (select min(seq) from gift_settlements where status = 'settled') and w.user_id = l.receiver_id`,
    found: ['money difference', 'wallet unlike ledger'],
  },
  {
    what: 'an acknowledged gift gone, with its decision',
    sql: `with gone as (delete from gift_settlements where seq = (select min(seq) from gift_settlements where status = 'failed')
      returning seq) delete from gift_ledger where seq in (select seq from gone)`,
    found: ['acknowledged but lost'],
  },
  {
    what: "two of a sender's gifts in each other's place",
    sql: `with pair as (select min(seq) as a, max(seq) as b from gift_ledger
        where sender_id = (select sender_id from gift_ledger order by seq limit 1))
      update gift_settlements s set settled_at = o.settled_at from pair, gift_settlements o
      where (s.seq = a and o.seq = b) or (s.seq = b and o.seq = a)`,
    found: ['order inversion'],
  },
  {
    what: 'a gift settled twice',
    sql: `alter table gift_settlements drop constraint gift_settlements_pkey;
      insert into gift_settlements select * from gift_settlements order by seq limit 1`,
    found: ['settled twice'],
  },
  {
    what: 'a wallet below zero',
    sql: `alter table wallets drop constraint wallets_balance_check;
      update wallets set balance = -1 where user_id = (select min(user_id::text)::uuid from wallets)`,
    found: ['negative balance', 'wallet unlike ledger'],
  },
  {
    what: 'a board that forgot a gift',
    sql: 'update leaderboard_streams set total = total - 1 where ctid = (select min(ctid) from leaderboard_streams)',
    found: ['leaderboard unlike recomputation'],
  },
];

describe('the checks see what is planted into that ledger', () => {
  for (const { what, sql, found } of plants) {
    it(what, async () => {
      const readings = await withConnection(ledger.db.pool, (client) => planted(client, sql));
      const findings = checkLedger(readings, report.account.acknowledged, report.account.reversed);
      const violated = findings.filter(({ violations }) => violations !== 0).map(({ check }) => check);
      expect(violated).toEqual(expect.arrayContaining(found));
    });
  }
});

/** What is read after the fault, which is then taken back. */
async function planted(client: pg.PoolClient, sql: string) {
  await client.query('begin');
  for (const table of ['gift_ledger', 'gift_settlements', 'wallets'])
    await client.query(`alter table ${table} disable trigger user`);
  await client.query(sql);
  const readings = await readLedgerIn(client);
  await client.query('rollback');
  return readings;
}
