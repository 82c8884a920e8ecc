const giftSql = `
select l.seq::text as seq, l.gift_id, l.amount::text as amount, l.created_at, l.run_id,
  l.sender_id, sender.username as sender_name, l.receiver_id, receiver.username as receiver_name,
  l.stream_id, t.title as stream_title, t.status as stream_status,
  s.status as decision, s.reason, s.fee::text as fee, s.settled_at, s.batch_id::text as batch_id
from public.gift_ledger l
left join public.gift_settlements s using (seq)
left join public.profiles sender on sender.id = l.sender_id
left join public.profiles receiver on receiver.id = l.receiver_id
left join public.streams t on t.id = l.stream_id`;

/** A gift by the id that its sender made. */
export const giftByIdSql = `${giftSql} where l.gift_id = $1::uuid`;

/** A gift by its place in the ledger. */
export const giftBySeqSql = `${giftSql} where l.seq = $1::bigint`;

/** Where a gift stands in the queue; no row when it does not wait. $1 seq */
export const queuePlaceSql = `
select (select count(*) from public.gift_pending a where a.seq < q.seq)::text as ahead,
  (select count(*) from public.gift_pending)::text as waiting,
  extract(epoch from clock_timestamp() - q.enqueued_at)::float8 as waited_s
from public.gift_pending q where q.seq = $1::bigint`;

/** The run that decided it; no row once housekeeping took the log away. $1 batch id */
export const batchSql = `
select b.id::text as id, b.trigger_source as source, b.started_at, b.finished_at, b.rounds,
  b.claimed::text as claimed, b.settled::text as settled, b.failed::text as failed, b.stop_reason, b.error
from public.gift_batch_logs b where b.id = $1::bigint`;

/** Of one reversal. $1 seq */
export const reversalSql = `
select r.reversal_id::text as reversal_id, r.amount::text as amount, r.fee::text as fee, r.reason, r.actor, r.reversed_at
from public.gift_reversals r where r.seq = $1::bigint`;

/** $1 seq */
export const entriesSql = `
select e.account, e.kind, e.amount::text as amount, e.settled_at as booked_at
from public.ledger_entries e where e.seq = $1::bigint
order by e.settled_at, e.amount`;

/** $1 user ids */
export const walletsSql = `
select w.user_id, w.balance::text as balance, w.gifted_total::text as gifted_total, w.gifted_count::text as gifted_count
from public.wallets w where w.user_id = any ($1::uuid[])`;

/** $1 gift id, $2 reason, $3 who does it */
export const reverseGiftSql = 'select public.reverse_gift($1::uuid, $2, $3) as reversal';
