import { ofRun } from '../gift-backlog.sql.ts';

/** A gift as a signed-in user over a pooled connection: the claims hold for this one statement. $1 claims, $2 gift, $3 stream, $4 receiver, $5 amount */
export const sendGiftSql = `
  with caller as materialized (select set_config('request.jwt.claims', $1, true))
  select public.send_gift($2::uuid, $3::uuid, $4::uuid, $5::bigint) as gift from caller`;

/** The last batch log so far. */
export const lastLogSql = `select coalesce(max(id), 0)::text as id from public.gift_batch_logs`;

/** Settlement runs after $1 that settled something, with the seconds they worked. */
export const logsSinceSql = `
  select trigger_source as source, claimed::int, settled::int, failed::int, rounds, backlog_count::int as backlog,
    case when drain_per_s > 0 then claimed / drain_per_s end as work_s
  from public.gift_batch_logs
  where id > $1::bigint and finished_at is not null and claimed > 0
  order by id`;

/** Runs that found the lock taken. $1 last log before */
export const skippedSql = `
  select count(*)::int as skipped from public.gift_batch_logs where id > $1::bigint and stop_reason = 'skipped_locked'`;

/** Of the ids $1: how many are in the ledger, and in how many rows. */
export const countGiftsSql = `
  select count(distinct l.gift_id)::int as gifts, count(l.seq)::int as rows
  from unnest($1::uuid[]) as asked (id) join public.gift_ledger l on l.gift_id = asked.id`;

/** What must add up over the run $1. */
export const auditSql = `
  with ledger as (select * from public.gift_ledger where ${ofRun}),
  settled as (select * from public.gift_settlements where ${ofRun}),
  wallet as (select * from public.wallets where run_id = $1)
  select
    (select count(*)::int from ledger) as gifts,
    (select count(*)::int from settled where status = 'settled') as settled,
    (select count(*)::int from settled where status = 'failed') as failed,
    (select count(*)::int from ledger l where not exists (select from settled s where s.seq = l.seq)) as unsettled,
    (select count(*)::int from (select seq from settled group by seq having count(*) > 1) twice) as settled_twice,
    (select count(*)::int from settled s where not exists (select from ledger l where l.seq = s.seq)) as orphaned,
    (select count(*)::int from wallet where balance < 0) as negative,
    (select count(*)::int from wallet) as wallets,
    (select coalesce(sum(balance), 0) from wallet)::text as balances,
    (select coalesce(sum(fee), 0) from settled)::text as fees,
    (select coalesce(sum(d.amount), 0) from public.wallet_deposits d
      where d.user_id in (select user_id from wallet))::text as deposits,
    (select count(*)::int from wallet w
      left join (
        select l.sender_id, sum(l.amount) as total from ledger l join settled s using (seq)
        where s.status = 'settled' group by 1
      ) t on t.sender_id = w.user_id
      where w.gifted_total <> coalesce(t.total, 0)) as wrong_totals`;
