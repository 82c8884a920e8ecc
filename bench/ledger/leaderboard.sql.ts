/**
 * $1 gifts in the ledger, all settled, written past intake and settlement: ten million of them take minutes that way
 * and would be the same rows. From $2 senders, over 30 days.
 */
export const settledGiftsSql = `
  with gift as (
    insert into public.gift_ledger (gift_id, sender_id, receiver_id, stream_id, amount, created_at)
    select gen_random_uuid(), md5('sender:' || (i * 7919) % $2)::uuid, md5('receiver:' || i % 1000)::uuid,
      md5('stream:' || i % 10)::uuid, 1 + i % 1000, now() - (i % 30) * interval '1 day'
    from generate_series(1, $1::bigint) as i
    returning seq
  )
  insert into public.gift_settlements (seq, status, batch_id, settled_at) select seq, 'settled', 0, now() from gift`;

/** The all-time board as settlement would have left it. */
export const boardSql = `
  update public.wallets w set gifted_total = t.total, gifted_count = t.gifts
  from (select sender_id, sum(amount)::bigint as total, count(*) as gifts from public.gift_ledger group by 1) t
  where t.sender_id = w.user_id`;
export const emptyTopSql = `
  insert into public.leaderboard_top (scope, top, last_total, updated_at) values ('all', '[]', 0, now())
  on conflict (scope) do nothing`;
export const rebuildTopSql = `select trollfix.rebuild_top('all')`;

export const readTopSql = `select get_leaderboard('all') as board`;
export const groupBySql = `
  select l.sender_id, sum(l.amount) as total from public.gift_ledger l join public.gift_settlements s using (seq)
  where s.status = 'settled' and l.run_id is null group by 1 order by 2 desc, 1 limit 100`;
