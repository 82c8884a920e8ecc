/** Everything below is read in one snapshot. $1 is a run id or null for the whole ledger, $2 how many rows to name. */

/**
 * Condition on a table with `seq` and `run_id`. No index holds run_id: a run's rows are found by seq, which is above
 * where the ledger stood when the run began. With null the planner folds it away.
 */
const inScope =
  '($1::text is null or (seq > (select r.first_seq from public.synthetic_runs r where r.run_id = $1) and run_id = $1))';
/** The same for tables that are small, or have no seq. */
const ofRun = '($1::text is null or run_id = $1)';

const ledger = `(select * from public.gift_ledger where ${inScope})`;
const settlements = `(select * from public.gift_settlements where ${inScope})`;
const reversals = `(select * from public.gift_reversals where ${inScope})`;
const queue = `(select * from public.gift_pending where ${inScope})`;
const wallets = `(select * from public.wallets where ${ofRun})`;

/** One snapshot, and no lock but ACCESS SHARE, for which nothing waits but DDL. */
export const beginAuditSql = 'begin transaction isolation level repeatable read read only';

/**
 * Behind DDL it does not queue for long. Compiling a plan takes longer than it saves here, and the totals of 10^6 senders
 * fit into this much memory. A check whose client has gone away ends by itself, and its snapshot with it.
 */
export const guardAuditSql = `
select set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '30s', true),
  set_config('client_connection_check_interval', '1s', true),
  set_config('jit', 'off', true), set_config('work_mem', '64MB', true)`;

/** $1 ms */
export const limitStatementSql = "select set_config('statement_timeout', $1::text, true)";

export const runExistsSql =
  'select exists (select from public.synthetic_runs where run_id = $1::text) as present';

/** What the platform kept: the fees of settled gifts, less those that a reversal gave back. */
const fees = `((select coalesce(sum(s.fee), 0) from ${settlements} s) - (select coalesce(sum(r.fee), 0) from ${reversals} r))`;

/** How much there is to look at. */
export const auditCountsSql = `
select clock_timestamp() as at,
  (select count(*) from ${ledger} l)::text as gifts,
  (select count(*) from ${settlements} s where s.status = 'settled')::text as settled,
  (select count(*) from ${settlements} s where s.status = 'failed')::text as failed,
  (select count(*) from ${reversals} r)::text as reversed,
  (select count(*) from ${queue} q)::text as pending,
  (select count(*) from ${wallets} w)::text as wallets,
  (select count(*) from public.wallet_deposits d where ${ofRun})::text as deposits,
  (select coalesce(sum(d.amount), 0) from public.wallet_deposits d where ${ofRun})::text as deposited,
  (select coalesce(sum(w.balance), 0) from ${wallets} w)::text as held,
  ${fees}::text as fees`;

/** Coins: what came in is what is held and what the platform kept. */
const moneyConserved = `
select b.deposited::text, b.held::text, b.fees::text, (b.held + b.fees - b.deposited)::text as difference
from (select
  (select coalesce(sum(d.amount), 0) from public.wallet_deposits d where ${ofRun}) as deposited,
  (select coalesce(sum(w.balance), 0) from ${wallets} w) as held,
  ${fees} as fees) b
where b.held + b.fees <> b.deposited`;

/**
 * Each wallet is its deposits and its own settled gifts. From ledger and settlements, not from the view
 * `ledger_entries`: a mistake in the view must not hide one in the money. A full join: money that was booked to somebody
 * without a wallet is a difference too.
 */
const walletBalance = `
with paid as (
  select l.sender_id, l.receiver_id, l.amount, s.fee
  from ${ledger} l join ${settlements} s using (seq) where s.status = 'settled'
), booked as (
  select m.user_id, sum(m.amount) as amount from (
    select d.user_id, d.amount from public.wallet_deposits d where ${ofRun}
    union all select p.sender_id, -sum(p.amount) from paid p group by 1
    union all select p.receiver_id, sum(p.amount - p.fee) from paid p group by 1
    union all select r.sender_id, r.amount from ${reversals} r
    union all select r.receiver_id, r.fee - r.amount from ${reversals} r
  ) m group by 1
)
select user_id, w.balance::text as balance, coalesce(b.amount, 0)::text as booked
from ${wallets} w full join booked b using (user_id)
where w.balance is distinct from coalesce(b.amount, 0)`;

const walletNegative = `select w.user_id, w.balance::text as balance from ${wallets} w where w.balance < 0`;

// duplicates in the order of the key, which its index gives: grouping 10^6 keys takes three times as long
const giftTwice = `
select t.gift_id, (select array_agg(l.seq order by l.seq)::text[] from public.gift_ledger l where l.gift_id = t.gift_id) as seqs
from (select l.gift_id, lag(l.gift_id) over (order by l.gift_id) as before from ${ledger} l) t
where t.gift_id = t.before`;

const settledTwice = `
select t.seq::text as seq from (select s.seq, lag(s.seq) over (order by s.seq) as before from ${settlements} s) t
where t.seq = t.before`;

const settlementOrphan = `
select s.seq::text as seq, s.status, s.batch_id::text as batch_id, s.settled_at
from ${settlements} s where not exists (select from public.gift_ledger l where l.seq = s.seq)`;

const settlementUnlikeGift = `
select s.seq::text as seq, l.gift_id, l.amount::text as amount, s.fee::text as fee, l.run_id as gift_run, s.run_id as settlement_run
from ${settlements} s join public.gift_ledger l using (seq)
where s.fee > l.amount or s.run_id is distinct from l.run_id`;

const queueUnlikeGift = `
select q.seq::text as seq, l.gift_id, q.amount::text as queued, l.amount::text as sent
from ${queue} q left join public.gift_ledger l using (seq)
where (q.sender_id, q.receiver_id, q.stream_id, q.amount, q.run_id)
  is distinct from (l.sender_id, l.receiver_id, l.stream_id, l.amount, l.run_id)`;

const queueDecided = `
select q.seq::text as seq, s.status, s.settled_at from ${queue} q join public.gift_settlements s using (seq)`;

const giftLost = `
select l.seq::text as seq, l.gift_id, l.sender_id, l.receiver_id, l.amount::text as amount, l.created_at
from ${ledger} l
where not exists (select from public.gift_settlements s where s.seq = l.seq)
  and not exists (select from public.gift_pending q where q.seq = l.seq)`;

const ledgerCount = `
select c.* from (select (select count(*) from ${ledger} l) as gifts, (select count(*) from ${settlements} s) as settlements,
  (select count(*) from ${queue} q) as pending) c
where c.gifts <> c.settlements + c.pending`;

/** A reversal takes back a gift that was settled, with the people, the amount and the fee that it had. */
const reversalUnlikeGift = `
select r.seq::text as seq, r.gift_id, r.amount::text as given_back, l.amount::text as amount, coalesce(s.status, 'not settled') as status
from ${reversals} r left join public.gift_ledger l using (seq) left join public.gift_settlements s using (seq)
where s.status is distinct from 'settled'
  or (r.gift_id, r.sender_id, r.receiver_id, r.amount, r.fee, r.run_id)
    is distinct from (l.gift_id, l.sender_id, l.receiver_id, l.amount, s.fee, l.run_id)`;

const reversedTwice = `
select t.seq::text as seq from (select r.seq, lag(r.seq) over (order by r.seq) as before from ${reversals} r) t
where t.seq = t.before`;

/** What counts on a board: settled and not taken back. */
const counted = `
select l.sender_id as user_id, l.stream_id, (l.created_at at time zone 'UTC')::date as day, l.amount, l.run_id
from ${ledger} l join ${settlements} s using (seq)
where s.status = 'settled' and not exists (select from public.gift_reversals r where r.seq = l.seq)`;

const walletTotals = `
with given as (select c.user_id, sum(c.amount) as total, count(*) as gifts from (${counted}) c group by 1)
select user_id, w.gifted_total::text as total, coalesce(g.total, 0)::text as recomputed, w.gifted_count::text as gifts,
  coalesce(g.gifts, 0)::text as gifts_recomputed
from ${wallets} w full join given g using (user_id)
where (w.gifted_total, w.gifted_count) is distinct from (coalesce(g.total, 0), coalesce(g.gifts, 0))`;

/**
 * Boards of days are taken away after 35 days (migrations/000006): older ones are compared with nothing, with a day to
 * spare for a midnight that passes meanwhile. Gifts of a run belong on
 * none, so for a run this finds its people and streams on boards that are not theirs.
 */
const keptDays = "(now() at time zone 'UTC')::date - 34";

const boardDays = `
with given as (
  select c.day, c.user_id, sum(c.amount) as total, count(*) as gifts from (${counted}) c
  where c.run_id is null and c.day >= ${keptDays} group by 1, 2
), board as (
  select d.* from public.leaderboard_days d
  where d.day >= ${keptDays} and ($1::text is null or d.user_id in (select p.id from public.profiles p where p.run_id = $1))
)
select day::text as day, user_id, b.total::text as total, g.total::text as recomputed, b.gifts::text as gifts,
  g.gifts::text as gifts_recomputed
from board b full join given g using (day, user_id)
where (b.total, b.gifts) is distinct from (g.total, g.gifts)`;

const boardStreams = `
with given as (
  select c.stream_id, c.user_id, sum(c.amount) as total, count(*) as gifts from (${counted}) c
  where c.run_id is null group by 1, 2
), board as (
  select s.* from public.leaderboard_streams s
  where $1::text is null or s.stream_id in (select t.id from public.streams t where t.run_id = $1)
)
select stream_id, user_id, b.total::text as total, g.total::text as recomputed, b.gifts::text as gifts,
  g.gifts::text as gifts_recomputed
from board b full join given g using (stream_id, user_id)
where (b.total, b.gifts) is distinct from (g.total, g.gifts)`;

/**
 * Each cached list of 100 against its board, which the checks above hold against the ledger: the right people, totals and
 * places, and nobody else.
 */
const boardTops = `
with scored as (
  select case when w.run_id is null then 'all' else 'run:' || w.run_id end as scope, w.user_id, w.gifted_total as total,
    w.gifted_count as gifts from ${wallets} w where w.gifted_count > 0
  union all select 'd:' || to_char(d.day, 'YYYY-MM-DD'), d.user_id, d.total, d.gifts
    from public.leaderboard_days d where $1::text is null and d.day >= ${keptDays}
  union all select 's:' || s.stream_id, s.user_id, s.total, s.gifts from public.leaderboard_streams s where $1::text is null
), ranked as (
  select r.* from (
    select s.*, row_number() over (partition by s.scope order by s.total desc, s.user_id) as rank from scored s
  ) r where r.rank <= 100
), listed as (
  select t.scope, e.user_id, e.total, e.gifts, e.rank
  from public.leaderboard_top t,
    jsonb_to_recordset(t.top) as e (user_id uuid, total bigint, gifts bigint, rank bigint)
  where ($1::text is null or t.scope = 'run:' || $1)
    and (t.scope not like 'd:%' or t.scope >= 'd:' || to_char(${keptDays}, 'YYYY-MM-DD'))
)
select scope, user_id, l.rank::int as rank, r.rank::int as rank_recomputed, l.total::text as total, r.total::text as recomputed
from ranked r full join listed l using (scope, user_id)
where (r.total, r.gifts, r.rank) is distinct from (l.total, l.gifts, l.rank)`;

/** What a check looks at: a count of {@link auditCountsSql}. */
export type Looked = 'gifts' | 'decided' | 'settled' | 'pending' | 'reversed' | 'wallets';

export interface AuditCheck {
  readonly id: string;
  /** What must hold, in words. */
  readonly title: string;
  readonly looksAt: Looked;
  /** The rows in which it does not. */
  readonly offenders: string;
}

/** In the order of the report: money, exactly-once, orphans, reversals, leaderboard. Ids are stable, for scripts. */
export const auditChecks = [
  check('money.conserved', 'coins in wallets and fees are the coins that came in', 'wallets', moneyConserved),
  check('wallet.negative', 'no balance is below zero', 'wallets', walletNegative),
  check('wallet.balance', 'each balance is its deposits and its own gifts', 'wallets', walletBalance),
  check('gift.once', 'each gift id stands in the ledger once', 'gifts', giftTwice),
  check('gift.lost', 'each gift waits or is decided', 'gifts', giftLost),
  check('settlement.once', 'each gift is decided at most once', 'decided', settledTwice),
  check('settlement.orphan', 'each decision is of a gift', 'decided', settlementOrphan),
  check('settlement.content', 'each decision fits its gift', 'decided', settlementUnlikeGift),
  check('queue.decided', 'no decided gift still waits', 'pending', queueDecided),
  check('queue.content', 'what waits is what was sent', 'pending', queueUnlikeGift),
  check('ledger.count', 'gifts are decisions and what waits', 'gifts', ledgerCount),
  check('reversal.once', 'each gift is taken back at most once', 'reversed', reversedTwice),
  check('reversal.content', 'each reversal fits a settled gift', 'reversed', reversalUnlikeGift),
  check('leaderboard.totals', 'all-time totals are those of the ledger', 'settled', walletTotals),
  check('leaderboard.days', 'the boards of days are those of the ledger', 'settled', boardDays),
  check('leaderboard.streams', 'the boards of streams are those of the ledger', 'settled', boardStreams),
  check('leaderboard.top', 'the cached top lists are those of the boards', 'settled', boardTops),
] as const;

export type AuditCheckId = (typeof auditChecks)[number]['id'];

/** One check: how many rows offend, and the first of them. $1 run id or null, $2 rows at most */
export function auditCheckSql(offenders: string): string {
  return `
with offender as materialized (${offenders})
select (select count(*) from offender)::text as violations,
  (select coalesce(jsonb_agg(to_jsonb(o)), '[]') from (select * from offender limit $2::int) o) as rows`;
}

function check<Id extends string>(
  id: Id,
  title: string,
  looksAt: Looked,
  offenders: string,
): AuditCheck & { id: Id } {
  return { id, title, looksAt, offenders };
}
