import type pg from 'pg';
import { aborted } from '../../kernel/clock.ts';
import { DeadlineError, withDeadline } from '../../kernel/deadline.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import {
  type AuditCheckId,
  auditCheckSql,
  auditChecks,
  auditCountsSql,
  beginAuditSql,
  guardAuditSql,
  limitStatementSql,
  runExistsSql,
} from './gift-audit.sql.ts';
import { sqlStateOf, withConnection } from './pool.ts';

export interface GiftAuditOptions {
  /** Only what a synthetic run wrote; the whole ledger, real and synthetic, without it. */
  readonly runId?: string;
  /** Offending rows named per check; 20 by default. */
  readonly rows?: number;
  /** What all of it may take; 60 s by default, the longest that a snapshot may be held without doctor warning of it. */
  readonly withinMs?: number;
  /** Ends it at once, in the middle of a check too. */
  readonly signal?: AbortSignal;
  /** Before each check. */
  readonly onCheck?: (check: { readonly title: string; readonly done: number; readonly of: number }) => void;
}

export interface AuditFinding {
  readonly check: AuditCheckId;
  /** What must hold, in words. */
  readonly title: string;
  /** How many things were looked at: gifts, decisions, settled or waiting gifts, reversals or wallets. 0 proves nothing. */
  readonly checked: number;
  readonly violations: number;
  /** The first offending rows; coins and seqs as text. */
  readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>;
}

/** What there is, at the time of the snapshot. Coins are exact up to 2^53. */
export interface AuditCounts {
  readonly gifts: number;
  readonly settled: number;
  readonly failed: number;
  readonly pending: number;
  /** Of the settled ones. */
  readonly reversed: number;
  readonly wallets: number;
  readonly deposits: number;
  readonly coinsDeposited: number;
  readonly coinsHeld: number;
  readonly coinsInFees: number;
}

export interface GiftAudit {
  readonly runId: string | null;
  /** ISO; by the database's clock. */
  readonly at: string;
  readonly elapsedMs: number;
  readonly counts: AuditCounts;
  readonly findings: readonly AuditFinding[];
  /** Of all checks together. */
  readonly violations: number;
}

const defaultRows = 20;
const defaultWithinMs = 60_000;
/** For the server's own word that the time is up to arrive, before it counts as hanging. */
const graceMs = 2000;

/**
 * Adds the whole gift ledger up: money conserved, each gift decided once, nothing lost or orphaned, reversals, and the
 * leaderboard against what the ledger makes of it. In one read-only snapshot, so it may run while gifts are sent and
 * settled: it sees no round half done, holds nobody up but DDL, and nobody holds it up.
 *
 * @throws TF-GIFT-004 when there is no such run; TF-GIFT-005 when a check takes longer than it may, or DDL holds a
 *   table; TF-DB-001, TF-DB-002, TF-DB-003
 */
export async function auditGifts(pool: pg.Pool, options: GiftAuditOptions = {}): Promise<GiftAudit> {
  return withConnection(pool, async (client) => {
    const { withinMs = defaultWithinMs, signal } = options;
    const ask = answeredIn(client, withinMs, signal);
    await ask(beginAuditSql);
    const audit = await readAudit(ask, withinMs, options);
    await ask('rollback');
    return audit;
  });
}

type Ask = <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) => Promise<pg.QueryResult<Row>>;

/**
 * Queries that end with the signal, and when the time is up by our own clock: a server that hangs, or is gone without a
 * word, keeps no timeout of its own. What is still under way then ends with its connection.
 */
function answeredIn(client: pg.PoolClient, withinMs: number, signal: AbortSignal | undefined): Ask {
  const endsAtMs = performance.now() + withinMs + graceMs;
  const ended = signal === undefined ? [] : [aborted(signal).then((reason) => Promise.reject(reason))];
  for (const end of ended) end.catch(() => {}); // it may come when nothing is asked any more
  return async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []) => {
    const leftMs = Math.ceil(endsAtMs - performance.now());
    const answer = withDeadline(client.query<Row>(sql, values), Math.max(1, leftMs), 'the audit');
    try {
      return await Promise.race([...ended, answer]);
    } catch (error) {
      throw error instanceof DeadlineError ? outOfTime(withinMs) : error;
    }
  };
}

async function readAudit(ask: Ask, withinMs: number, options: GiftAuditOptions): Promise<GiftAudit> {
  const { runId = null, rows = defaultRows } = options;
  const beganMs = performance.now();
  await ask(guardAuditSql);
  if (runId !== null) await requireRun(ask, runId);
  const timed = async <T extends pg.QueryResultRow>(sql: string, values: unknown[]) => {
    const leftMs = Math.ceil(withinMs - (performance.now() - beganMs));
    if (leftMs <= 0) throw outOfTime(withinMs);
    try {
      await ask(limitStatementSql, [String(leftMs)]);
      return await ask<T>(sql, values);
    } catch (error) {
      throw unfinished(error, withinMs) ?? error;
    }
  };
  const counted = (await timed<CountsRow>(auditCountsSql, [runId])).rows[0];
  if (counted === undefined) throw new Error('the counts gave no row'); // a select without from has one
  const counts = countsOf(counted);
  const looked = { ...counts, decided: counts.settled + counts.failed };
  const findings: AuditFinding[] = [];
  for (const { id, title, looksAt, offenders } of auditChecks) {
    options.onCheck?.({ title, done: findings.length, of: auditChecks.length });
    const { rows: answer } = await timed<OffendersRow>(auditCheckSql(offenders), [runId, rows]);
    const found = answer[0];
    if (found === undefined) throw new Error(`check ${id} gave no row`); // nor may this one
    const violations = Number(found.violations);
    findings.push({ check: id, title, checked: looked[looksAt], violations, rows: found.rows });
  }
  return {
    runId,
    at: counted.at.toISOString(),
    elapsedMs: performance.now() - beganMs,
    counts,
    findings,
    violations: findings.reduce((sum, { violations }) => sum + violations, 0),
  };
}

/** One finding of an audit. */
export function findingOf(audit: GiftAudit, check: AuditCheckId): AuditFinding {
  const found = audit.findings.find((finding) => finding.check === check);
  if (found === undefined) throw new Error(`the audit has no check ${check}`); // each has all of auditChecks
  return found;
}

/** An offending row in one line: `seq 5, gift_id …, amount 7`. */
export function rowInWords(row: Readonly<Record<string, unknown>>): string {
  return Object.entries(row)
    .map(
      ([name, value]) =>
        `${name} ${value === null ? 'none' : Array.isArray(value) ? value.join('+') : String(value)}`,
    )
    .join(', ');
}

async function requireRun(ask: Ask, runId: string): Promise<void> {
  const { rows } = await ask<{ present: boolean }>(runExistsSql, [runId]);
  if (rows[0]?.present) return;
  throw new TrollfixError('TF-GIFT-004', `no synthetic run ${runId} in this database`, {
    why: 'a run that was cleaned up has left no rows: there is nothing to audit',
  });
}

/** What a failed statement means: 57014 its time is over, 55P03 the lock was not to be had. */
function unfinished(error: unknown, withinMs: number): TrollfixError | undefined {
  const state = sqlStateOf(error);
  if (state === '57014') return outOfTime(withinMs);
  if (state !== '55P03') return undefined;
  return new TrollfixError('TF-GIFT-005', 'a table of the ledger is held exclusively', {
    why: 'a migration or other DDL is at work on it',
    hint: 'wait for it to end, and audit again',
    cause: error,
  });
}

function outOfTime(withinMs: number): TrollfixError {
  return new TrollfixError('TF-GIFT-005', `the audit was not done within ${withinMs / 1000} s`, {
    why: 'it was cut off, so that its snapshot does not keep settled rows from being cleaned up',
  });
}

interface OffendersRow {
  violations: string;
  rows: ReadonlyArray<Record<string, unknown>>;
}

type CountsRow = Record<
  | 'gifts'
  | 'settled'
  | 'failed'
  | 'pending'
  | 'reversed'
  | 'wallets'
  | 'deposits'
  | 'deposited'
  | 'held'
  | 'fees',
  string
> & { at: Date };

function countsOf(row: CountsRow): AuditCounts {
  return {
    gifts: Number(row.gifts),
    settled: Number(row.settled),
    failed: Number(row.failed),
    pending: Number(row.pending),
    reversed: Number(row.reversed),
    wallets: Number(row.wallets),
    deposits: Number(row.deposits),
    coinsDeposited: Number(row.deposited),
    coinsHeld: Number(row.held),
    coinsInFees: Number(row.fees),
  };
}
