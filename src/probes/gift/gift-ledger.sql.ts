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

/** Of the ids $1: how many are in the ledger. */
export const countGiftsSql = `
  select count(distinct l.gift_id)::int as gifts
  from unnest($1::uuid[]) as asked (id) join public.gift_ledger l on l.gift_id = asked.id`;

/**
 * How long the gifts of run $1 waited from intake to the decision, in whole ms, and whether anybody but $2 decided them:
 * the schedule of the target, then.
 */
export const waitsSql = `
  select round(extract(epoch from s.settled_at - l.created_at) * 1000)::int as wait_ms,
    coalesce(b.trigger_source, '') <> $2 as by_schedule, count(*)::int as gifts
  from (select * from public.gift_settlements where ${ofRun}) s
  join public.gift_ledger l using (seq) left join public.gift_batch_logs b on b.id = s.batch_id
  group by 1, 2`;
