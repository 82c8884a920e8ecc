import { ofRun } from '../../probes/gift-backlog.sql.ts';

/** One batch, as the original had it. $1 batch size */
export const processBatchSql =
  'select claimed, settled, failed, backlog::int, busy from public.process_gift_ledger_batch($1)';

/** Decisions of a run in the order of the ledger. $1 run id */
export const decisionsSql = `
  select g.gift_id as "giftId", g.sender_id as "senderId", g.amount::int, g.status, g.reason
    from public.gifts g where ${ofRun} order by g.seq
`;

/** Balances of a run. $1 run id */
export const balancesSql = `
  select user_id as "userId", balance::int from public.wallets where run_id = $1
`;

/** Takes row locks on the oldest gifts of a run that still wait. $1 run id, $2 how many */
export const holdPendingSql = `
  select seq::text from public.gift_pending where run_id = $1 order by seq limit $2 for update skip locked
`;

/** Which of these gifts are decided. $1 bigint[] */
export const decidedOfSql =
  'select count(*)::int as decided from public.gift_settlements where seq = any($1::bigint[])';

/** Settlement runs after a log, with what they wrote of the backlog. $1 last log before */
export const batchLogsSinceSql = `
  select count(*)::int as runs,
         count(*) filter (where finished_at is not null and backlog_count is not null)::int as logged,
         coalesce(max(backlog_count), 0)::int as "maxBacklog"
    from public.gift_batch_logs where id > $1::bigint and trigger_source = 'batch'
`;
