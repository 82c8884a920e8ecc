import { ofRun } from '../../probes/gift-backlog.sql.ts';

const rowsOfRun = `
  gifts as materialized (select * from public.gift_ledger where ${ofRun}),
  decisions as materialized (select * from public.gift_settlements where ${ofRun}),
  queue as materialized (select * from public.gift_pending where ${ofRun})`;

/** The books of one run: what came in, what is there, what the platform kept. $1 run id */
export const runBooksSql = `
  with ${rowsOfRun}
  select
    (select coalesce(sum(d.amount), 0) from public.wallet_deposits d where d.run_id = $1)::text as deposited,
    (select coalesce(sum(w.balance), 0) from public.wallets w where w.run_id = $1)::text as held,
    (select coalesce(sum(s.fee), 0) from decisions s)::text as fees,
    (select count(*) from public.wallets w where w.run_id = $1)::int as wallets,
    (select count(*) from public.wallets w where w.run_id = $1 and w.balance < 0)::int as negative,
    (select count(*) from gifts)::int as gifts,
    (select count(*) from decisions)::int as decided,
    (select count(*) from queue)::int as pending,
    (select count(*) from decisions s where not exists (select from gifts l where l.seq = s.seq))::int as orphans,
    (select count(*) from decisions s join queue q using (seq))::int as decided_and_pending
`;

/**
 * Wallets whose balance is not what their own gifts make of their deposits. Computed from ledger and settlements, not
 * from the view `ledger_entries`, so that a mistake in the view cannot hide one in the money. $1 run id
 */
export const walletDifferencesSql = `
  with ${rowsOfRun},
  paid as (
    select l.sender_id, l.receiver_id, l.amount, s.fee
      from gifts l join decisions s using (seq) where s.status = 'settled'
  ), moves as (
    select d.user_id, d.amount from public.wallet_deposits d where d.run_id = $1
    union all
    select sender_id, -amount from paid
    union all
    select receiver_id, amount - fee from paid
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
