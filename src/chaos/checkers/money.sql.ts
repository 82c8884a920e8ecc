/** The books of one run: what came in, what is there, what the platform kept. $1 run id */
export const runBooksSql = `
  select
    (select coalesce(sum(d.amount), 0) from public.wallet_deposits d where d.run_id = $1)::text as deposited,
    (select coalesce(sum(w.balance), 0) from public.wallets w where w.run_id = $1)::text as held,
    (select coalesce(sum(s.fee), 0) from public.gift_settlements s where s.run_id = $1)::text as fees,
    (select count(*) from public.wallets w where w.run_id = $1)::int as wallets,
    (select count(*) from public.wallets w where w.run_id = $1 and w.balance < 0)::int as negative,
    (select count(*) from public.gift_ledger l where l.run_id = $1)::int as gifts,
    (select count(*) from public.gift_settlements s where s.run_id = $1)::int as decided,
    (select count(*) from public.gift_pending q where q.run_id = $1)::int as pending,
    (select count(*) from public.gift_settlements s where s.run_id = $1
      and not exists (select from public.gift_ledger l where l.seq = s.seq))::int as orphans,
    (select count(*) from public.gift_settlements s join public.gift_pending q using (seq)
      where s.run_id = $1)::int as decided_and_pending
`;

/**
 * Wallets whose balance is not what their own gifts make of their deposits. Computed from ledger and settlements, not
 * from the view \`ledger_entries\`, so that a mistake in the view cannot hide one in the money. $1 run id
 */
export const walletDifferencesSql = `
  with moves as (
    select d.user_id, d.amount from public.wallet_deposits d where d.run_id = $1
    union all
    select l.sender_id, -l.amount from public.gift_ledger l join public.gift_settlements s using (seq)
      where l.run_id = $1 and s.status = 'settled'
    union all
    select l.receiver_id, l.amount - s.fee from public.gift_ledger l join public.gift_settlements s using (seq)
      where l.run_id = $1 and s.status = 'settled'
  ), booked as (
    select user_id, sum(amount) as amount from moves group by user_id
  )
  select w.user_id, w.balance::text as balance, coalesce(b.amount, 0)::text as booked
    from public.wallets w left join booked b on b.user_id = w.user_id
   where w.run_id = $1 and w.balance <> coalesce(b.amount, 0)
   order by w.user_id limit 20
`;

/** Which of the given gift ids the ledger does not have. $1 uuid[] */
export const missingGiftsSql = `
  select g.id from unnest($1::uuid[]) as g (id)
   where not exists (select from public.gift_ledger l where l.gift_id = g.id)
`;
