import type { Provisioned } from './provisioned.ts';

/** Every way in which the books can be wrong, counted from the tables themselves. All zeros is right. */
export async function auditLedger(db: Provisioned): Promise<Record<string, number>> {
  const { rows } = await db.pool.query(auditSql);
  return Object.fromEntries(
    Object.entries(rows[0] as Record<string, string>).map(([name, n]) => [name, Number(n)]),
  );
}

export const clean = {
  moneyDifference: 0,
  negative: 0,
  walletsUnlikeEntries: 0,
  giftsUnbalanced: 0,
  neitherPendingNorDecided: 0,
  pendingAndDecided: 0,
  orphans: 0,
  boardsUnlikeLedger: 0,
  topsUnlikeBoards: 0,
};

const auditSql = `
with paid as (
  select l.seq, l.sender_id, l.stream_id, l.amount, l.created_at, l.run_id
  from gift_ledger l join gift_settlements s using (seq)
  where s.status = 'settled' and not exists (select from gift_reversals r where r.seq = l.seq)
), board as (
  select 'd:' || to_char(l.created_at at time zone 'UTC', 'YYYY-MM-DD') as scope, l.sender_id as user_id, l.amount
  from paid l where l.run_id is null
  union all select 's:' || l.stream_id, l.sender_id, l.amount
  from paid l where l.run_id is null
  union all select coalesce('run:' || l.run_id, 'all'), l.sender_id, l.amount
  from paid l
), recomputed as (
  select scope, user_id, sum(amount) as total, count(*) as gifts from board group by 1, 2
), ranked as (
  select *, row_number() over (partition by scope order by total desc, user_id) as rank from recomputed
), listed as (
  select t.scope, (e ->> 'user_id')::uuid as user_id, (e ->> 'total')::numeric as total, (e ->> 'gifts')::bigint as gifts,
    (e ->> 'rank')::bigint as rank
  from leaderboard_top t, jsonb_array_elements(t.top) e
)
select
  (select coalesce(sum(balance), 0) from wallets) + (select coalesce(sum(fee), 0) from gift_settlements)
    - (select coalesce(sum(fee), 0) from gift_reversals) - (select coalesce(sum(amount), 0) from wallet_deposits) as "moneyDifference",
  (select count(*) from wallets where balance < 0) as "negative",
  (select count(*) from wallets w
    left join (select account, sum(amount) as coins from (
      select user_id as account, amount from wallet_deposits union all select account, amount from ledger_entries
    ) x group by 1) e on e.account = w.user_id
    where w.balance <> coalesce(e.coins, 0)) as "walletsUnlikeEntries",
  (select count(*) from (select seq from ledger_entries group by seq having sum(amount) <> 0) x) as "giftsUnbalanced",
  (select count(*) from gift_ledger l where not exists (select from gift_pending p where p.seq = l.seq)
    and not exists (select from gift_settlements s where s.seq = l.seq)) as "neitherPendingNorDecided",
  (select count(*) from gift_pending join gift_settlements using (seq)) as "pendingAndDecided",
  (select count(*) from gift_settlements s where not exists (select from gift_ledger l where l.seq = s.seq))
    + (select count(*) from gift_reversals r where not exists (
      select from gift_settlements s join gift_ledger l using (seq)
      where s.seq = r.seq and s.status = 'settled' and (l.gift_id, l.amount, s.fee) = (r.gift_id, r.amount, r.fee)
    )) as "orphans",
  (select count(*) from recomputed r full join leaderboard b using (scope, user_id)
    where r.total is distinct from b.total or r.gifts is distinct from b.gifts) as "boardsUnlikeLedger",
  (select count(*) from (select * from ranked where rank <= 100) r full join listed l using (scope, user_id)
    where r.total is distinct from l.total or r.gifts is distinct from l.gifts or r.rank is distinct from l.rank) as "topsUnlikeBoards"
`;
