import type pg from 'pg';
import type { Invariant } from '../../record/matrix-row.ts';
import {
  type AuditFinding,
  auditGifts,
  type GiftAudit,
  rowInWords,
} from '../../target/postgres/gift-audit.ts';
import { invariant } from '../run-experiment.ts';
import { missingGiftsSql } from './money.sql.ts';

const wallets = 'each wallet is what its gifts make of it';
const decisions = 'each gift decided exactly once';
const boards = 'the leaderboard is what the gifts make of it';

/** Which invariant of an experiment a check of the audit belongs to. */
const invariantOf: Readonly<Record<AuditFinding['check'], string>> = {
  'money.conserved': 'money conserved',
  'wallet.negative': 'no negative balance',
  'wallet.balance': wallets,
  'gift.once': decisions,
  'gift.lost': decisions,
  'settlement.once': decisions,
  'settlement.orphan': decisions,
  'settlement.content': decisions,
  'queue.decided': decisions,
  'queue.content': decisions,
  'ledger.count': decisions,
  'reversal.once': wallets,
  'reversal.content': wallets,
  'leaderboard.totals': boards,
  'leaderboard.days': boards,
  'leaderboard.streams': boards,
  'leaderboard.top': boards,
};

/** As many as other invariants show. */
const detailsMost = 20;

/**
 * The money of one run after all its gifts are decided, by the audit that `trollfix gift audit` makes: conserved, nowhere
 * negative, each wallet what its own gifts make of it (which a gift settled twice would break), each gift decided exactly
 * once, the leaderboard as well, nothing acknowledged lost.
 * @param acknowledged gift ids whose intake was confirmed to the sender
 * @throws TF-GIFT-004 when the run is not in the database
 */
export async function checkMoney(
  database: pg.Pool,
  runId: string,
  acknowledged: readonly string[],
): Promise<Invariant[]> {
  const audit = await auditGifts(database, { runId });
  const lost = await database.query<{ id: string }>(missingGiftsSql, [acknowledged]);
  return [
    ...[...new Set(Object.values(invariantOf))].map((name) => auditInvariant(name, audit)),
    invariant(
      'nothing acknowledged is lost',
      acknowledged.length,
      lost.rows.map((row) => `acknowledged but not in the ledger: ${row.id}`),
    ),
  ];
}

function auditInvariant(name: string, { findings, counts }: GiftAudit): Invariant {
  const own = findings.filter(({ check }) => invariantOf[check] === name);
  // all gifts were to be decided: one that waits is no error of the books, but it is one of the experiment
  const waiting = name === decisions ? counts.pending : 0;
  const details = own.flatMap(({ title, rows }) => rows.map((row) => `not so: ${title}: ${rowInWords(row)}`));
  return {
    name,
    checked: Math.max(...own.map(({ checked }) => checked)),
    violations: own.reduce((sum, { violations }) => sum + violations, waiting),
    details: [...(waiting === 0 ? [] : [`${waiting} gifts are not decided`]), ...details].slice(
      0,
      detailsMost,
    ),
  };
}
